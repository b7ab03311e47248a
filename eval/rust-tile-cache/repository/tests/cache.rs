use std::convert::Infallible;

use tiles::{Cache, Stats, TileId};

fn tile(zoom: u8, x: u32, y: u32) -> TileId {
    TileId::new(zoom, x, y).unwrap()
}

fn made(value: &str) -> Result<String, Infallible> {
    Ok(value.to_string())
}

#[test]
fn a_tile_is_made_once() {
    let cache = Cache::new(10);
    assert_eq!(*cache.get(tile(0, 0, 0), || made("world")).unwrap(), "world");
    assert_eq!(*cache.get(tile(0, 0, 0), || made("another")).unwrap(), "world");
    assert_eq!(cache.stats(), Stats { hits: 1, misses: 1, evicted: 0 });
}

#[test]
fn the_tile_that_was_asked_for_longest_ago_goes_first() {
    let cache = Cache::new(2);
    let (first, second, third) = (tile(1, 0, 0), tile(1, 1, 0), tile(1, 0, 1));
    for id in [first, second, first, third] {
        cache.get(id, || made("old")).unwrap();
    }
    assert_eq!(cache.len(), 2);
    assert_eq!(*cache.get(first, || made("new")).unwrap(), "old");
    assert_eq!(*cache.get(second, || made("new")).unwrap(), "new");
    assert_eq!(cache.stats(), Stats { hits: 2, misses: 4, evicted: 2 });
}

#[test]
fn an_error_is_not_kept() {
    let cache = Cache::new(10);
    assert_eq!(cache.get(tile(0, 0, 0), || Err::<String, _>("no file")), Err("no file"));
    assert!(cache.is_empty());
    assert_eq!(*cache.get(tile(0, 0, 0), || made("world")).unwrap(), "world");
}

#[test]
fn a_tile_that_was_forgotten_is_made_anew() {
    let cache = Cache::new(10);
    cache.get(tile(0, 0, 0), || made("old")).unwrap();
    cache.forget(&tile(0, 0, 0));
    assert_eq!(*cache.get(tile(0, 0, 0), || made("new")).unwrap(), "new");
}
