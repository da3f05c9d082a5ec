//! Charts, heat maps and pictures, as SVG and PNG.

pub(crate) mod chart;
pub(crate) mod heat_map;
pub(crate) mod matrix;
pub(crate) mod picture;
pub(crate) mod plot;
