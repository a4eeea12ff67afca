//! What a server knows of each client.

use gritos_sys::abi::cap::BADGE_CLIENT;

/// A bounded table with a `T` for each client, by the badge of its session.
///
/// A place is taken by the first call of a client and freed by `client_gone`.
/// Badges come from the root task: no client can have two.
#[derive(Debug)]
pub struct Clients<T, const N: usize> {
    places: [Option<(u32, T)>; N],
}

impl<T, const N: usize> Default for Clients<T, N> {
    fn default() -> Self {
        Self {
            places: [const { None }; N],
        }
    }
}

impl<T: Default, const N: usize> Clients<T, N> {
    /// What is kept for the client with this badge, made on its first call;
    /// `None` if the table is full or this is no client's badge.
    pub fn get(&mut self, badge: u32) -> Option<&mut T> {
        if badge & BADGE_CLIENT == 0 {
            return None;
        }
        let is =
            |place: &Option<(u32, T)>| place.as_ref().is_some_and(|(other, _)| *other == badge);
        let index = self
            .places
            .iter()
            .position(is)
            .or_else(|| self.places.iter().position(Option::is_none))?;
        let place = self.places.get_mut(index)?;
        let (_, value) = place.get_or_insert_with(|| (badge, T::default()));
        Some(value)
    }
}

impl<T, const N: usize> Clients<T, N> {
    /// Forgets a client.
    pub fn remove(&mut self, badge: u32) -> Option<T> {
        let place = self
            .places
            .iter_mut()
            .find(|place| place.as_ref().is_some_and(|(other, _)| *other == badge))?;
        place.take().map(|(_, value)| value)
    }

    /// All of them, with their badges.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.places
            .iter_mut()
            .flatten()
            .map(|(badge, value)| (*badge, value))
    }
}

#[cfg(test)]
mod tests {
    use super::Clients;
    use gritos_sys::abi::cap::BADGE_CLIENT;

    #[test]
    fn a_client_has_one_place_until_it_is_gone() {
        let mut clients = Clients::<u32, 2>::default();
        let (a, b, c) = (BADGE_CLIENT | 1, BADGE_CLIENT | 2, BADGE_CLIENT | 3);
        *clients.get(a).unwrap() = 5;
        *clients.get(b).unwrap() = 6;
        assert_eq!(clients.get(a), Some(&mut 5));
        assert_eq!(clients.get(c), None);
        assert_eq!(clients.get(7), None);
        assert_eq!(clients.remove(a), Some(5));
        assert_eq!(clients.get(c), Some(&mut 0));
        assert_eq!(clients.iter_mut().count(), 2);
    }
}
