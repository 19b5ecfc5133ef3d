//! Salts and nonces: random bytes of the operating system, drawn by each thread for many statements at once.

use std::cell::RefCell;

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroize;

/// Bytes that are drawn at once: what some ten statements need.
const DRAWN: usize = 2048;

/// The system gives no random numbers.
#[derive(Debug)]
pub(crate) struct NoRandom;

struct Pool {
    bytes: [u8; DRAWN],
    /// What before it was handed out and is zero.
    used: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; DRAWN], used: DRAWN }) };
}

/// Fills the buffer. Bytes that were handed out once are gone here.
pub(crate) fn fill(buffer: &mut [u8]) -> Result<(), NoRandom> {
    let system = |bytes: &mut [u8]| SystemRandom::new().fill(bytes).map_err(|_| NoRandom);
    if buffer.len() > DRAWN {
        return system(buffer);
    }
    POOL.with_borrow_mut(|pool| {
        if pool.used + buffer.len() > DRAWN {
            // It counts as used up until the system has given all of it.
            pool.used = DRAWN;
            system(&mut pool.bytes)?;
            pool.used = 0;
        }
        let end = pool.used + buffer.len();
        let drawn = pool.bytes.get_mut(pool.used..end).ok_or(NoRandom)?;
        buffer.copy_from_slice(drawn);
        drawn.zeroize();
        pool.used = end;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn nothing_is_handed_out_twice_on_any_thread() {
        let draw = || {
            let lengths = [32usize, 12, 320, 1, 2047, 2048, 5000, 96];
            (0..200)
                .flat_map(|_| lengths)
                .map(|length| {
                    let mut bytes = vec![0; length];
                    fill(&mut bytes).unwrap();
                    assert!(length < 12 || bytes.iter().any(|byte| *byte != 0));
                    bytes
                })
                .filter(|bytes| bytes.len() >= 12)
                .map(|bytes| bytes[..12].to_vec())
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let drawn: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), drawn.len());
    }
}
