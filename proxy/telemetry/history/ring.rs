//! The last steps of a series, the oldest of which leave. Takes memory as it fills, and never more than its end.

/// Steps that memory is taken for at a time.
const CHUNK: usize = 60;

/// The last `most` of something.
#[derive(Debug)]
pub(super) struct Ring<T> {
    kept: Vec<T>,
    /// Where the next goes once it is full: the oldest.
    next: usize,
    most: usize,
}

impl<T: Copy> Ring<T> {
    /// None yet.
    pub(super) fn new(most: usize) -> Self {
        Ring {
            kept: Vec::new(),
            next: 0,
            most,
        }
    }

    /// Keeps one.
    pub(super) fn push(&mut self, one: T) {
        if self.kept.len() < self.most {
            if self.kept.len() == self.kept.capacity() {
                self.kept
                    .reserve_exact(CHUNK.min(self.most - self.kept.len()));
            }
            self.kept.push(one);
        } else if let Some(oldest) = self.kept.get_mut(self.next) {
            *oldest = one;
            self.next = (self.next + 1) % self.most;
        }
    }

    /// The last `n`, the oldest first; fewer where there are not so many.
    pub(super) fn last(&self, n: usize) -> impl Iterator<Item = &T> {
        let (new, old) = self.kept.split_at(self.next.min(self.kept.len()));
        let skip = self.kept.len().saturating_sub(n);
        old.iter().chain(new).skip(skip)
    }

    /// Memory taken, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.kept.capacity() * size_of::<T>()
    }
}
