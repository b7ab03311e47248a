use tiles::TileId;

#[test]
fn a_zoom_has_so_many_tiles() {
    assert!(TileId::new(0, 0, 0).is_ok());
    assert!(TileId::new(0, 1, 0).is_err());
    assert!(TileId::new(3, 7, 7).is_ok());
    assert!(TileId::new(3, 7, 8).is_err());
    assert!(TileId::new(23, 0, 0).is_err());
}

#[test]
fn each_child_has_its_parent() {
    let tile = TileId::new(3, 5, 2).unwrap();
    for child in tile.children().unwrap() {
        assert_eq!(child.parent(), Some(tile));
    }
    assert_eq!(TileId::new(0, 0, 0).unwrap().parent(), None);
}

#[test]
fn a_tile_is_written_as_in_its_path() {
    assert_eq!(TileId::new(3, 5, 2).unwrap().to_string(), "3/5/2");
}
