//! Timers in the order of their deadlines.
//!
//! A binary heap of places in a table: the earliest is at hand, and starting, firing or cancelling one of `n` moves at
//! most log n others. The timers of one owner form a list, so that all of them can be found without a look at the rest.

use alloc::vec::Vec;

/// No place.
const NONE: u32 = u32::MAX;

/// A timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// When it fires, in nanoseconds.
    pub at: u64,
    /// How long until it fires again; 0 for never.
    pub period: u64,
    /// What it signals.
    pub bits: u64,
    /// Whose it is: an index below the number of owners.
    pub owner: u32,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    timer: Timer,
    /// Counts the timers that were here, so that an old number names none.
    generation: u32,
    /// Its position in the heap; `NONE` if the place is free.
    heap: u32,
    /// The owner's next; in a free place the next free one.
    next: u32,
    /// The owner's one before.
    before: u32,
}

/// The timers of all owners.
#[derive(Clone, Debug)]
pub struct Timers {
    places: Vec<Place>,
    heap: Vec<u32>,
    /// The first timer of each owner.
    first: Vec<u32>,
    free: u32,
    limit: usize,
}

impl Timers {
    /// Room for `limit` timers of `owners` owners; memory is taken as they come.
    #[must_use]
    pub fn new(owners: usize, limit: usize) -> Self {
        Self {
            places: Vec::new(),
            heap: Vec::new(),
            first: alloc::vec![NONE; owners],
            free: NONE,
            limit: limit.min(NONE as usize),
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// When the earliest fires.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        self.heap.first().map(|&place| self.at(place))
    }

    /// Starts a timer. Its number; `None` if there is no room or no such owner.
    pub fn start(&mut self, timer: Timer) -> Option<u64> {
        let first = *self.first.get(timer.owner as usize)?;
        let place = self.place()?;
        let position = self.heap.len() as u32;
        let entry = self.places.get_mut(place as usize)?;
        (entry.timer, entry.heap) = (timer, position);
        (entry.next, entry.before) = (first, NONE);
        let number = u64::from(entry.generation) << 32 | u64::from(place);
        if let Some(first) = self.places.get_mut(first as usize) {
            first.before = place;
        }
        if let Some(head) = self.first.get_mut(timer.owner as usize) {
            *head = place;
        }
        self.heap.push(place);
        self.rise(position as usize);
        Some(number)
    }

    /// A free place, with room in the heap for it.
    fn place(&mut self) -> Option<u32> {
        if self.len() >= self.limit || self.heap.try_reserve(1).is_err() {
            return None;
        }
        if self.free != NONE {
            let place = self.free;
            self.free = self.places.get(place as usize)?.next;
            return Some(place);
        }
        self.places.try_reserve(1).ok()?;
        let timer = Timer {
            at: 0,
            period: 0,
            bits: 0,
            owner: 0,
        };
        self.places.push(Place {
            timer,
            generation: 0,
            heap: NONE,
            next: NONE,
            before: NONE,
        });
        Some(self.places.len() as u32 - 1)
    }

    /// The timer with a number.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<Timer> {
        let place = self.places.get((number & u64::from(NONE)) as usize)?;
        let is_it = place.heap != NONE && u64::from(place.generation) == number >> 32;
        is_it.then_some(place.timer)
    }

    /// Stops the timer with a number.
    pub fn cancel(&mut self, number: u64) -> Option<Timer> {
        self.get(number)?;
        self.remove((number & u64::from(NONE)) as u32)
    }

    /// Stops any timer of an owner.
    pub fn cancel_any(&mut self, owner: u32) -> Option<Timer> {
        let place = *self.first.get(owner as usize)?;
        self.remove(place)
    }

    /// The earliest timer, if it is due at the time `now`: one that fires once is gone then, another is due again at the
    /// first moment of its period that lies in the future.
    pub fn fire(&mut self, now: u64) -> Option<Timer> {
        let &place = self.heap.first()?;
        let timer = self.places.get(place as usize)?.timer;
        if timer.at > now {
            return None;
        }
        if timer.period == 0 {
            return self.remove(place);
        }
        let missed = (now - timer.at) / timer.period;
        let next = timer.period.saturating_mul(missed.saturating_add(1));
        if let Some(entry) = self.places.get_mut(place as usize) {
            entry.timer.at = timer.at.saturating_add(next);
        }
        self.sink(0);
        Some(timer)
    }

    fn remove(&mut self, place: u32) -> Option<Timer> {
        let entry = *self.places.get(place as usize)?;
        let position = entry.heap as usize;
        // The last of the heap takes its position.
        let last = self.heap.pop()?;
        if let Some(there) = self.heap.get_mut(position) {
            *there = last;
            self.set_position(last, position);
            self.sink(position);
            self.rise(position);
        }
        match self.places.get_mut(entry.before as usize) {
            Some(before) => before.next = entry.next,
            None => *self.first.get_mut(entry.timer.owner as usize)? = entry.next,
        }
        if let Some(next) = self.places.get_mut(entry.next as usize) {
            next.before = entry.before;
        }
        let freed = self.places.get_mut(place as usize)?;
        freed.generation = freed.generation.wrapping_add(1);
        (freed.heap, freed.next) = (NONE, self.free);
        self.free = place;
        Some(entry.timer)
    }

    fn at(&self, place: u32) -> u64 {
        self.places
            .get(place as usize)
            .map_or(u64::MAX, |place| place.timer.at)
    }

    fn set_position(&mut self, place: u32, position: usize) {
        if let Some(place) = self.places.get_mut(place as usize) {
            place.heap = position as u32;
        }
    }

    /// The deadline at a position of the heap.
    fn key(&self, position: usize) -> Option<u64> {
        self.heap.get(position).map(|&place| self.at(place))
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        for position in [a, b] {
            if let Some(&place) = self.heap.get(position) {
                self.set_position(place, position);
            }
        }
    }

    /// Moves the timer at `position` towards the front while those before it are later.
    fn rise(&mut self, mut position: usize) {
        while position > 0 {
            let parent = (position - 1) / 2;
            if self.key(parent) <= self.key(position) {
                return;
            }
            self.swap(parent, position);
            position = parent;
        }
    }

    /// Moves it towards the end while those behind it are earlier.
    fn sink(&mut self, mut position: usize) {
        loop {
            let (left, right) = (2 * position + 1, 2 * position + 2);
            let Some(mut least) = self.key(left).map(|key| (key, left)) else {
                return;
            };
            if let Some(key) = self.key(right)
                && key < least.0
            {
                least = (key, right);
            }
            match self.key(position) {
                Some(key) if key > least.0 => self.swap(position, least.1),
                _ => return,
            }
            position = least.1;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{Timer, Timers};

    fn timer(at: u64, owner: u32) -> Timer {
        Timer {
            at,
            period: 0,
            bits: at,
            owner,
        }
    }

    #[test]
    fn they_fire_in_order_and_only_when_due() {
        let mut timers = Timers::new(2, 100);
        for at in [5, 3, 9, 3, 1] {
            timers.start(timer(at, 0)).unwrap();
        }
        let fired: Vec<_> = core::iter::from_fn(|| timers.fire(5))
            .map(|t| t.at)
            .collect();
        assert_eq!(fired, [1, 3, 3, 5]);
        assert_eq!((timers.len(), timers.due()), (1, Some(9)));
    }

    #[test]
    fn a_periodic_timer_leaves_out_what_it_missed() {
        let mut timers = Timers::new(1, 9);
        let number = timers
            .start(Timer {
                period: 10,
                ..timer(100, 0)
            })
            .unwrap();
        assert_eq!(timers.fire(99), None);
        assert!(timers.fire(100).is_some());
        assert_eq!(timers.due(), Some(110));
        assert!(timers.fire(137).is_some());
        assert_eq!((timers.due(), timers.fire(137)), (Some(140), None));
        assert!(timers.cancel(number).is_some() && timers.is_empty());
        timers
            .start(Timer {
                period: u64::MAX,
                ..timer(1, 0)
            })
            .unwrap();
        assert!(timers.fire(u64::MAX).is_some());
        assert_eq!(timers.due(), Some(u64::MAX));
    }

    #[test]
    fn numbers_name_one_timer_for_ever() {
        let mut timers = Timers::new(1, 2);
        let old = timers.start(timer(1, 0)).unwrap();
        assert!(timers.cancel(old).is_some());
        let new = timers.start(timer(2, 0)).unwrap();
        assert_ne!(old, new);
        assert_eq!((timers.cancel(old), timers.get(old)), (None, None));
        assert_eq!(timers.get(new).unwrap().at, 2);
        for nonsense in [u64::MAX, 9 << 32, 7] {
            assert_eq!(timers.cancel(nonsense), None);
        }
        timers.start(timer(3, 0)).unwrap();
        assert_eq!(timers.start(timer(4, 0)), None);
        assert_eq!(timers.start(timer(4, 1)), None);
    }

    /// Against a list that is searched from end to end.
    #[test]
    fn whatever_is_started_and_stopped_the_order_holds() {
        let mut random = 1_u64;
        let mut next = move |below: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) % below
        };
        let mut timers = Timers::new(3, 500);
        let mut model: Vec<(u64, Timer)> = Vec::new();
        let mut now = 0;
        for _ in 0..20_000 {
            match next(5) {
                0 | 1 => {
                    let wanted = timer(now + next(1000), next(3) as u32);
                    match timers.start(wanted) {
                        Some(number) => model.push((number, wanted)),
                        None => assert_eq!(model.len(), 500),
                    }
                }
                2 if !model.is_empty() => {
                    let (number, wanted) = model.swap_remove(next(model.len() as u64) as usize);
                    assert_eq!(timers.cancel(number), Some(wanted));
                }
                3 if next(50) == 0 => {
                    let owner = next(3) as u32;
                    let count = core::iter::from_fn(|| timers.cancel_any(owner)).count();
                    assert_eq!(
                        count,
                        model.iter().filter(|(_, t)| t.owner == owner).count()
                    );
                    model.retain(|(_, t)| t.owner != owner);
                }
                _ => {
                    now += next(100);
                    while let Some(fired) = timers.fire(now) {
                        let least = model.iter().map(|(_, t)| t.at).min();
                        assert_eq!(least, Some(fired.at));
                        let found = model.iter().position(|(_, t)| *t == fired).unwrap();
                        model.swap_remove(found);
                    }
                }
            }
            assert_eq!(timers.len(), model.len());
            assert_eq!(timers.due(), model.iter().map(|(_, t)| t.at).min());
        }
    }
}
