//! What is said of tables that were joined by id.

use serde_json::{Value, json};

use super::messages::Messages;
use crate::corpus::Codings;

/// Warns of everything that was passed over in joining, with counts.
pub fn tell_joined(codings: &Codings, messages: &Messages) {
    for table in &codings.tables {
        let name = &table.name;
        if !table.has_ids && codings.tables.len() > 1 {
            messages.warn(&format!("{name}: no column id; its rows are joined by their numbers"));
        }
        for (count, what) in [
            (table.unreadable, "rows cannot be read and are left out"),
            (table.duplicate_ids, "rows have the id of an earlier one and are left out"),
            (table.unmatched, "rows are not in every table"),
            (table.closed_gate, "codes stand under a closed gate and are ignored"),
            (table.unusable, "cells are no code and count as missing; confide check lists them"),
        ] {
            if count > 0 {
                messages.warn(&format!("{name}: {count} {what}"));
            }
        }
    }
}

/// The same for a JSON document.
pub fn joined_json(codings: &Codings) -> Value {
    let tables = codings.tables.iter().map(|table| {
        json!({
            "file": table.name,
            "digest": table.digest,
            "rows": table.rows,
            "duplicate_ids": table.duplicate_ids,
            "unmatched_ids": table.unmatched,
            "unreadable_rows": table.unreadable,
            "codes_under_closed_gates": table.closed_gate,
            "unusable_cells": table.unusable,
        })
    });
    tables.collect()
}
