//! SVG to PNG.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use super::failed;
use crate::error::Result;

/// Pixels of the picture for each of the drawing.
const SCALE: f32 = 2.0;

/// Draws SVG documents as pictures, with the one font that this program carries: a letter that the
/// font lacks stays blank.
#[derive(Debug)]
pub struct Rasteriser {
    options: Options<'static>,
}

impl Default for Rasteriser {
    fn default() -> Self {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
        let family = fonts.faces().next().and_then(|face| face.families.first());
        let family = family.map(|(name, _)| name.clone()).unwrap_or_default();
        fonts.set_sans_serif_family(family);
        Self { options: Options { fontdb: Arc::new(fonts), ..Options::default() } }
    }
}

impl Rasteriser {
    /// The picture as a PNG file.
    ///
    /// # Errors
    /// If the document is none that can be drawn.
    pub fn png(&self, document: &str) -> Result<Vec<u8>> {
        let tree = Tree::from_str(document, &self.options).map_err(failed)?;
        let size = tree.size().to_int_size().scale_by(SCALE);
        let size = size.ok_or_else(|| failed("it has no size"))?;
        let mut pixels =
            Pixmap::new(size.width(), size.height()).ok_or_else(|| failed("it has no size"))?;
        let scale = Transform::from_scale(SCALE, SCALE);
        resvg::render(&tree, scale, &mut pixels.as_mut());
        pixels.encode_png().map_err(failed)
    }
}
