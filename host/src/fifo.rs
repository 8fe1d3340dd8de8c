//! A queue that is nearly always empty or holds one: that one needs no memory of its own.

use std::collections::VecDeque;
use std::collections::vec_deque;
use std::iter::Chain;
use std::ops::Range;

/// The queue.
#[derive(Debug)]
pub struct Fifo<T> {
    first: Option<T>,
    /// What comes after the first. Boxed, so that it costs a pointer where there is none: there may be a million.
    #[allow(clippy::box_collection)]
    rest: Option<Box<VecDeque<T>>>,
}

/// Some of it, in order.
pub type Iter<'a, T> = Chain<std::option::IntoIter<&'a T>, vec_deque::Iter<'a, T>>;

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self { first: None, rest: None }
    }
}

impl<T> Fifo<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The oldest.
    pub fn front(&self) -> Option<&T> {
        self.first.as_ref()
    }

    /// The newest.
    pub fn back(&self) -> Option<&T> {
        self.rest.as_ref().and_then(|rest| rest.back()).or(self.first.as_ref())
    }

    /// Adds the newest.
    pub fn push_back(&mut self, new: T) {
        if self.first.is_none() {
            self.first = Some(new);
        } else {
            self.rest.get_or_insert_default().push_back(new);
        }
    }

    /// Takes the oldest.
    pub fn pop_front(&mut self) -> Option<T> {
        let next = self.rest.as_mut().and_then(|rest| rest.pop_front());
        std::mem::replace(&mut self.first, next)
    }

    /// Those in these places, counted from the oldest.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub fn range(&self, places: Range<usize>) -> Iter<'_, T> {
        let first = self.first.as_ref().filter(|_| places.contains(&0));
        let of_rest = places.start.saturating_sub(1)..places.end.saturating_sub(1);
        let rest = if let Some(rest) = &self.rest {
            rest.range(of_rest)
        } else {
            assert!(of_rest.is_empty(), "there are not so many");
            vec_deque::Iter::default()
        };
        first.into_iter().chain(rest)
    }

    /// For how many more than one there is memory.
    pub fn capacity(&self) -> usize {
        self.rest.as_ref().map_or(0, |rest| rest.capacity())
    }

    /// Gives back what memory is not needed.
    pub fn shrink_to_fit(&mut self) {
        match &mut self.rest {
            Some(rest) if rest.is_empty() => self.rest = None,
            Some(rest) => rest.shrink_to_fit(),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_queue(steps in prop::collection::vec(prop::option::weighted(0.6, any::<u8>()), 0..60)) {
            let (mut fifo, mut model) = (Fifo::default(), VecDeque::new());
            for step in steps {
                if let Some(new) = step {
                    fifo.push_back(new);
                    model.push_back(new);
                } else {
                    prop_assert_eq!(fifo.pop_front(), model.pop_front());
                }
                prop_assert_eq!((fifo.len(), fifo.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!((fifo.front(), fifo.back()), (model.front(), model.back()));
                for from in 0..=model.len() {
                    for to in from..=model.len() {
                        prop_assert!(fifo.range(from..to).eq(model.range(from..to)), "{}..{}", from, to);
                    }
                }
                if model.len() < 2 {
                    fifo.shrink_to_fit();
                    prop_assert_eq!(fifo.capacity(), 0);
                }
            }
        }
    }
}
