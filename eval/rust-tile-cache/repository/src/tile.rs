//! The name of a tile: zoom 0 is the whole world in one tile, each further zoom has four for each of the one before.

use std::fmt;

const MAX_ZOOM: u8 = 22;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileId {
    zoom: u8,
    x: u32,
    y: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfRange;

impl fmt::Display for OutOfRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "there is no such tile")
    }
}

impl std::error::Error for OutOfRange {}

impl TileId {
    pub fn new(zoom: u8, x: u32, y: u32) -> Result<Self, OutOfRange> {
        if zoom > MAX_ZOOM || x >> zoom != 0 || y >> zoom != 0 {
            return Err(OutOfRange);
        }
        Ok(Self { zoom, x, y })
    }

    /// The four tiles that show the same at the next zoom; `None` at the last one.
    pub fn children(self) -> Option<[Self; 4]> {
        if self.zoom == MAX_ZOOM {
            return None;
        }
        let child = |right, down| Self { zoom: self.zoom + 1, x: self.x * 2 + right, y: self.y * 2 + down };
        Some([child(0, 0), child(1, 0), child(0, 1), child(1, 1)])
    }

    /// The tile of the zoom before that shows this one too; `None` for the world.
    pub fn parent(self) -> Option<Self> {
        let zoom = self.zoom.checked_sub(1)?;
        Some(Self { zoom, x: self.x / 2, y: self.y / 2 })
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.zoom, self.x, self.y)
    }
}
