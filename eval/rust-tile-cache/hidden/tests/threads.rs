use std::convert::Infallible;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use tiles::{Cache, Stats, TileId};

type Tiles = Arc<Cache<TileId, String>>;

/// What is not there after this long does not come: for tests that would stand still.
const AT_MOST: Duration = Duration::from_secs(8);
/// How long a function waits to see whether another one is called beside it, which must not be.
const A_WHILE: Duration = Duration::from_millis(400);

fn tile(zoom: u8, x: u32, y: u32) -> TileId {
    TileId::new(zoom, x, y).unwrap()
}

fn made(value: &str) -> Result<String, Infallible> {
    Ok(value.to_string())
}

fn tiles(capacity: usize) -> Tiles {
    Arc::new(Cache::new(capacity))
}

/// Runs it in a thread of its own; what comes back is empty-handed when it panics.
fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    receiver
}

fn result<T>(of: Receiver<T>) -> T {
    of.recv_timeout(AT_MOST).expect("stands still or panicked")
}

/// Fills the tile from its children, down to zoom 4.
fn assembled(cache: &Cache<TileId, String>, id: TileId, depth: u8) -> Result<String, Infallible> {
    if depth == 4 {
        return made(".");
    }
    let mut text = String::new();
    for child in id.children().unwrap() {
        text += &*cache.get(child, || assembled(cache, child, depth + 1))?;
    }
    Ok(text)
}

#[test]
fn a_tile_can_be_made_of_others() {
    let cache = tiles(1000);
    let done = start({
        let cache = cache.clone();
        move || cache.get(tile(0, 0, 0), || assembled(&cache, tile(0, 0, 0), 0)).unwrap().len()
    });
    assert_eq!(result(done), 256);
    assert_eq!(cache.len(), 1 + 4 + 16 + 64 + 256);
    assert_eq!(cache.stats(), Stats { hits: 0, misses: 341, evicted: 0 });
}

#[test]
fn a_tile_can_be_made_of_others_when_there_is_hardly_room() {
    let cache = tiles(1);
    let done = start({
        let cache = cache.clone();
        move || cache.get(tile(0, 0, 0), || assembled(&cache, tile(0, 0, 0), 0)).unwrap().len()
    });
    assert_eq!(result(done), 256);
    assert_eq!(cache.len(), 1);
    assert_eq!(cache.stats(), Stats { hits: 0, misses: 341, evicted: 340 });
}

#[test]
fn a_slow_tile_holds_nobody_up() {
    let cache = tiles(10);
    cache.get(tile(1, 0, 0), || made("there")).unwrap();
    cache.get(tile(1, 1, 1), || made("forgotten")).unwrap();
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let slow = start({
        let cache = cache.clone();
        move || {
            cache.get(tile(0, 0, 0), || {
                begun.send(()).unwrap();
                may_go_on.recv().unwrap();
                made("slow")
            })
        }
    });
    result(has_begun);
    let others = start({
        let cache = cache.clone();
        move || {
            let there = cache.get(tile(1, 0, 0), || made("again")).unwrap();
            let new = cache.get(tile(1, 1, 0), || made("new")).unwrap();
            cache.forget(&tile(1, 1, 1));
            (there, new, cache.len(), cache.stats())
        }
    });
    let (there, new, len, stats) = result(others);
    assert_eq!((there.as_str(), new.as_str(), len), ("there", "new", 2));
    assert_eq!(stats, Stats { hits: 1, misses: 4, evicted: 0 });
    go_on.send(()).unwrap();
    assert_eq!(*result(slow).unwrap(), "slow");
    assert_eq!(cache.len(), 3);
}

#[test]
fn different_tiles_are_made_at_the_same_time() {
    let cache = tiles(10);
    let all_here = Arc::new(Barrier::new(4));
    let makers: Vec<_> = tile(0, 0, 0)
        .children()
        .unwrap()
        .into_iter()
        .map(|id| {
            let (cache, all_here) = (cache.clone(), all_here.clone());
            start(move || {
                cache.get(id, || {
                    all_here.wait();
                    made("tile")
                })
            })
        })
        .collect();
    for maker in makers {
        assert_eq!(*result(maker).unwrap(), "tile");
    }
}

#[test]
fn who_asks_for_the_same_tile_waits_for_it() {
    let cache = tiles(10);
    let calls = Arc::new(AtomicUsize::new(0));
    let ready = Arc::new(Barrier::new(30));
    let askers: Vec<_> = (0..30)
        .map(|_| {
            let (cache, calls, ready) = (cache.clone(), calls.clone(), ready.clone());
            start(move || {
                ready.wait();
                cache.get(tile(0, 0, 0), || {
                    calls.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(A_WHILE);
                    made("world")
                })
            })
        })
        .collect();
    let got: Vec<_> = askers.into_iter().map(|asker| result(asker).unwrap()).collect();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert!(got.iter().all(|tile| Arc::ptr_eq(tile, &got[0])));
    assert_eq!(cache.stats(), Stats { hits: 29, misses: 1, evicted: 0 });
}

#[test]
fn who_has_waited_gets_the_tile_though_there_is_no_room_for_it() {
    let cache = tiles(0);
    let (begun, has_begun) = mpsc::channel();
    let first = start({
        let cache = cache.clone();
        move || {
            cache.get(tile(0, 0, 0), || {
                begun.send(()).unwrap();
                thread::sleep(A_WHILE);
                made("first")
            })
        }
    });
    result(has_begun);
    let second = start({
        let cache = cache.clone();
        move || cache.get(tile(0, 0, 0), || made("second"))
    });
    assert_eq!(*result(first).unwrap(), "first");
    assert_eq!(*result(second).unwrap(), "first");
    assert!(cache.is_empty());
    assert_eq!((cache.stats().hits, cache.stats().misses), (1, 1));
}

/// One function fails in the way given while five others wait for the tile; they make it once.
fn after_a_failure(fail: fn() -> Result<String, &'static str>) -> Tiles {
    let cache = tiles(10);
    let calls = Arc::new(AtomicUsize::new(0));
    let (begun, has_begun) = mpsc::channel();
    let failing = start({
        let cache = cache.clone();
        move || {
            catch_unwind(AssertUnwindSafe(|| {
                cache.get(tile(0, 0, 0), || {
                    begun.send(()).unwrap();
                    thread::sleep(A_WHILE);
                    fail()
                })
            }))
        }
    });
    result(has_begun);
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let (cache, calls) = (cache.clone(), calls.clone());
            start(move || {
                cache.get(tile(0, 0, 0), || {
                    calls.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(A_WHILE);
                    made("world")
                })
            })
        })
        .collect();
    match result(failing) {
        Ok(returned) => assert_eq!(returned, Err("broken")),
        Err(panic) => assert_eq!(panic.downcast_ref::<&str>(), Some(&"broken")),
    }
    for waiter in waiting {
        assert_eq!(*result(waiter).unwrap(), "world");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(cache.stats(), Stats { hits: 4, misses: 2, evicted: 0 });
    cache
}

#[test]
fn an_error_is_its_callers_alone() {
    let cache = after_a_failure(|| Err("broken"));
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_panic_is_its_callers_alone() {
    let cache = after_a_failure(|| panic!("broken"));
    assert_eq!(cache.len(), 1);
    cache.get(tile(1, 0, 0), || made("other")).unwrap();
    assert_eq!(cache.len(), 2);
}

#[test]
fn waiters_that_all_fail_each_get_their_own_error() {
    let cache = tiles(10);
    let askers: Vec<_> = (0..8)
        .map(|number| {
            let cache = cache.clone();
            start(move || (number, cache.get(tile(0, 0, 0), || Err::<String, usize>(number))))
        })
        .collect();
    for asker in askers {
        let (number, got) = result(asker);
        assert_eq!(got, Err(number));
    }
    assert_eq!(cache.stats(), Stats { hits: 0, misses: 8, evicted: 0 });
    assert!(cache.is_empty());
}

#[test]
fn an_error_in_a_tile_below_leaves_the_ones_above_free() {
    let cache = tiles(10);
    let (world, below) = (tile(0, 0, 0), tile(1, 0, 0));
    let done = start({
        let cache = cache.clone();
        move || {
            let first = cache.get(world, || {
                let part = cache.get(below, || Err::<String, &str>("no file"))?;
                Ok(part.to_string())
            });
            let second = cache
                .get(world, || Ok::<_, &str>(cache.get(below, || Ok::<_, &str>("part".into()))?.repeat(2)));
            (first, second)
        }
    });
    let (first, second) = result(done);
    assert_eq!(first, Err("no file"));
    assert_eq!(*second.unwrap(), "partpart");
}
