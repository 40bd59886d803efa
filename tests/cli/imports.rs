//! `import`: a hosted model's answers and TikTok's pages as tables.

use crate::harness::Folder;

const SECRET: &str = "zanzibar";

fn answer(id: &str, content: &str) -> String {
    let content = serde_json::to_string(content).unwrap();
    format!(
        "{{\"id\":\"r\",\"custom_id\":\"{id}\",\"error\":null,\"response\":{{\"status_code\":200,\"body\":\
         {{\"choices\":[{{\"message\":{{\"content\":{content},\"refusal\":null}}}}]}}}}}}\n"
    )
}

fn asked(id: &str, text: &str) -> String {
    format!(
        "{{\"custom_id\":\"{id}\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{{\"messages\":\
         [{{\"role\":\"system\",\"content\":\"s\"}},{{\"role\":\"user\",\"content\":\"{text}\"}}]}}}}\n"
    )
}

const OPENAI: [&str; 8] =
    ["import", "openai", "out.jsonl", "--codebook", "llm-mental-health", "--coder", "gpt4o", "-o"];

#[test]
fn a_batch_becomes_a_coder() {
    let folder = Folder::new();
    let failed = "{\"custom_id\":\"d\",\"response\":null,\"error\":{\"code\":\"batch_expired\"}}\n";
    let output = answer("b", "{\"experience\":\"off_topic\",\"attitude\":\"positive\"}")
        + &answer("a", "experience: personal_use\nattitude: Positive.\ntopics: anonymity, other")
        + failed
        + &answer("a", "experience: off_topic");
    let output =
        "{\"custom_id\":\"b\",\"response\":null,\"error\":{\"code\":\"x\"}}\n".to_owned() + &output;
    let texts = ["a", "b", "c", "d"].map(|id| asked(id, &format!("{SECRET} {id}"))).concat();
    folder.file("out.jsonl", output);
    folder.file("in.jsonl", texts);
    let mut args = OPENAI.to_vec();
    args.extend(["gpt4o.csv", "--input", "in.jsonl"]);
    let ran = folder.run(&args);
    ran.exits(0).keeps_quiet_about(SECRET);
    ran.says(&[
        "2 requests failed",
        "1 answers or texts have the custom_id",
        "1 codes stand under a closed gate",
    ]);
    let expected = format!(
        "id,text,experience__gpt4o,attitude__gpt4o,topics__gpt4o\n\
         a,{SECRET} a,personal_use,positive,anonymity|other\n\
         b,{SECRET} b,off_topic,,\nc,{SECRET} c,,,\nd,{SECRET} d,,,\n"
    );
    assert_eq!(folder.read("gpt4o.csv"), expected);
    folder.run(&args).exits(2);
    args.push("--force");
    folder.run(&args).exits(0);
}

#[test]
fn what_is_no_label_is_listed_and_left_blank() {
    let folder = Folder::new();
    folder.file(
        "out.jsonl",
        answer("a", "experience: personal_usage")
            + &answer("b", &format!("it is {SECRET}, you see")),
    );
    let mut args = OPENAI.to_vec();
    args.push("o.csv");
    let ran = folder.run(&args);
    ran.exits(1).keeps_quiet_about(SECRET);
    ran.says(&["line 1, id 'a', experience: 'personal_usage'", "personal_use", "line 2, id 'b'"]);
    let head = "id,experience__gpt4o,attitude__gpt4o,topics__gpt4o\n";
    assert_eq!(folder.read("o.csv"), format!("{head}a,,,\nb,,,\n"));
}

#[test]
fn one_fine_tuned_model_a_tier_answers_with_bare_labels() {
    let folder = Folder::new();
    folder.file("out.jsonl", answer("a", "positive") + &answer("b", "mixed"));
    let mut args = OPENAI.to_vec();
    args.extend(["o.csv", "--tier", "attitude"]);
    folder.run(&args).exits(0);
    assert!(folder.read("o.csv").ends_with("a,,positive,\nb,,mixed,\n"));
    args[8] = "x.csv";
    args[10] = "atitude";
    folder.run(&args).exits(2).says(&["attitude"]);
}

#[test]
fn examples_and_log_probabilities_are_read() {
    let folder = Folder::new();
    let example = "\u{feff}{\"messages\":[{\"role\":\"user\",\"content\":\"t1\"},\
        {\"role\":\"assistant\",\"content\":\"off_topic\"}]}\n";
    folder.file("out.jsonl", example);
    let mut args = OPENAI.to_vec();
    args.push("o.csv");
    folder.run(&args).exits(0);
    assert!(folder.read("o.csv").ends_with("1,t1,off_topic,,\n"));
    let sure = "{\"custom_id\":\"7\",\"error\":null,\"response\":{\"status_code\":200,\"body\":{\"output\":\
        [{\"content\":[{\"type\":\"output_text\",\"text\":\"off_topic\",\"logprobs\":[{\"logprob\":-0.5},\
        {\"logprob\":-0.5}]}]}]}}}\n";
    folder.file("out.jsonl", sure);
    args[8] = "p.csv";
    folder.run(&args).exits(0);
    assert!(folder.read("p.csv").starts_with("id,experience__gpt4o,experience__gpt4o_p,"));
    assert!(folder.read("p.csv").contains("7,off_topic,0.367879,"));
    folder.file("out.jsonl", "not json\n");
    args[8] = "q.csv";
    folder.run(&args).exits(3).says(&["line 1"]);
    assert!(!folder.entries().iter().any(|name| name.starts_with("q.csv")));
}

/// What a request came to, by the shape of its answer.
fn outcome(id: &str, body: &str) -> String {
    format!(
        "{{\"custom_id\":\"{id}\",\"error\":null,\"response\":{{\"status_code\":200,\"body\":{body}}}}}\n"
    )
}

#[test]
fn answers_that_give_no_code_are_told_apart() {
    let folder = Folder::new();
    let chat = |content: &str, more: &str| {
        format!(
            "{{\"choices\":[{{\"message\":{{\"content\":{content},\"refusal\":null}},{more}}}]}}"
        )
    };
    let incomplete = "{\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"max_output_tokens\"},\
        \"output\":[{\"content\":[{\"type\":\"output_text\",\"text\":\"experience: per\"}]}]}";
    let refused = "{\"status\":\"completed\",\"output\":[{\"content\":[{\"type\":\"refusal\",\"refusal\":\"no\"}]}]}";
    let lines = [
        outcome(
            "cut",
            &chat("\"{\\\"experience\\\": \\\"off_to\"", "\"finish_reason\":\"length\""),
        ),
        outcome("whole", &chat("\"off_topic\"", "\"finish_reason\":\"length\"")),
        outcome("half", incomplete),
        outcome("refused", refused),
        outcome("filtered", &chat("\"off_topic\"", "\"finish_reason\":\"content_filter\"")),
        outcome("empty", &chat("\"\"", "\"finish_reason\":\"stop\"")),
        "{\"custom_id\":\"late\",\"response\":null,\"error\":{\"code\":\"batch_expired\"}}\n"
            .into(),
        outcome("prose", &chat("\"I cannot say\"", "\"finish_reason\":\"stop\"")),
    ];
    folder.file("out.jsonl", lines.concat());
    let mut args = OPENAI.to_vec();
    args.push("o.csv");
    let ran = folder.run(&args);
    ran.exits(1).says(&[
        "line 1, id 'cut': the answer is cut off",
        "line 3, id 'half': the answer is cut off",
        "1 answers are no labels",
        "2 answers are cut off",
        "2 requests were refused",
        "1 answers are empty",
        "1 requests failed",
    ]);
    let table = folder.read("o.csv");
    assert_eq!(table.lines().count(), 9, "{table}");
    assert_eq!(table.matches("off_topic").count(), 1, "{table}");
    assert!(table.contains("\nwhole,off_topic,,\n"), "{table}");
    // Nothing but refusals is an outcome, too.
    folder.file("out.jsonl", outcome("refused", refused));
    args[8] = "r.csv";
    folder.run(&args).exits(0).says(&["1 requests were refused"]);
}

#[test]
fn whatever_the_bytes_are_nothing_breaks_and_nothing_half_written_stays() {
    let folder = Folder::new();
    let page = "{\"data\":{\"comments\":[{\"id\":\"1\",\"text\":\"a\"}]}}";
    let deep = "[".repeat(100_000);
    let inputs: [&[u8]; 8] = [
        b"",
        b"\xff\xfe{",
        b"{\"custom_id\":\"1\",\"response\":{\"body\":{\"choices\":[{\"message\":",
        b"\x00\x00\x00",
        b"{\"id\":1e999}",
        deep.as_bytes(),
        b"{\"data\":{\"comments\":[{\"id\":\"1\",\"text\":\"\xff\"}]}}",
        &page.as_bytes()[..page.len() - 3],
    ];
    for (at, input) in inputs.into_iter().enumerate() {
        folder.file("out.jsonl", input);
        let mut args = OPENAI.to_vec();
        args.push("x.csv");
        let ran = folder.run(&args);
        assert_eq!(ran.code, 3, "{at}: {}", ran.stderr);
        let ran = folder.run(&["import", "tiktok", "out.jsonl", "-o", "x.csv"]);
        assert_eq!(ran.code, 3, "{at}: {}", ran.stderr);
        assert_eq!(folder.entries(), ["out.jsonl"], "{at}");
    }
    folder.file("out.jsonl", &page[..page.len() - 3]);
    let ran = folder.run(&["import", "tiktok", "out.jsonl", "-o", "x.csv"]);
    ran.exits(3).says(&["ends in the middle"]);
}

#[test]
fn ids_beyond_all_numbers_are_kept_digit_by_digit() {
    let folder = Folder::new();
    let comment = |id: &str| format!("{{\"id\":{id},\"video_id\":{id},\"text\":\"t\"}}");
    let ids =
        ["18446744073709551617", "18446744073709551616", "\"18446744073709551617\"", "007", "7"];
    let comments = ids.map(comment).join(",");
    folder.file("a.json", format!("[{{\"data\":{{\"comments\":[{comments}]}}}}]"));
    let ran = folder.run(&["import", "tiktok", "a.json", "-o", "c.csv"]);
    ran.exits(0).says(&["1 comments were there already"]);
    let table = folder.read("c.csv");
    let found: Vec<&str> =
        table.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(found, ["18446744073709551617", "18446744073709551616", "007", "7"]);
    folder.file("b.json", format!("{{\"data\":{{\"comments\":[{}]}}}}", comment("7.1e18")));
    let ran = folder.run(&["import", "tiktok", "b.json", "-o", "d.csv"]);
    ran.exits(3).says(&["rounded number"]);
    assert!(!folder.entries().iter().any(|name| name.starts_with("d.csv")));
}

#[test]
fn pages_of_comments_become_a_table() {
    let folder = Folder::new();
    let page = |comments: &str| {
        format!(
            "{{\"data\":{{\"comments\":[{comments}],\"has_more\":false}},\"error\":{{\"code\":\"ok\"}}}}\n"
        )
    };
    let one = "{\"id\":7234567890123456789,\"video_id\":\"71\",\"text\":\"a, b\",\"create_time\":1700000000,\
        \"like_count\":3,\"reply_count\":0,\"parent_comment_id\":\"71\"}";
    let two = "{\"id\":\"2\",\"video_id\":\"71\",\"text\":\"\"}";
    folder.file("a.json", page(one));
    folder.file("b.json", page(two) + &page(one));
    let ran = folder.run(&["import", "tiktok", "a.json", "b.json", "-o", "c.csv"]);
    ran.exits(0).says(&["1 comments were there already", "1 comments have no text"]);
    assert_eq!(
        folder.read("c.csv"),
        "id,group,text,created,like_count,reply_count,parent_comment_id\n\
         7234567890123456789,71,\"a, b\",2023-11-14T22:13:20Z,3,0,71\n2,71,,,,,\n"
    );
    let ran = folder.run(&["import", "tiktok", "a.json", "b.json", "-o", "-"]);
    ran.exits(0);
    assert_eq!(ran.stdout, folder.read("c.csv"));
    folder.file("d.json", "{\"data\"");
    folder.run(&["import", "tiktok", "d.json", "-o", "d.csv"]).exits(3);
    assert!(!folder.entries().iter().any(|name| name.starts_with("d.csv")));
}
