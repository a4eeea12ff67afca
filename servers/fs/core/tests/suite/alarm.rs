//! When the server's waits end: a moment that has passed must not end them again and again.

use gritos_fs_api::Mode;
use gritos_fs_core::block::MemoryDisk;
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::Ext4Volume;
use gritos_fs_core::host::World;
use gritos_fs_core::service::{Alarm, Limits};
use gritos_idl_runtime::{Incoming, Outgoing, ServerPort, Status, Ticket};

use crate::support::{Format, ext4_image, now, tree};
use crate::wire::{TestClient, client};

/// A port that only keeps in mind when its waits end.
#[derive(Default)]
struct Ends(Option<u64>);

impl Alarm for Ends {
    fn alarm(&mut self, after_ns: Option<u64>) {
        self.0 = after_ns;
    }
}

impl ServerPort for Ends {
    fn recv(&mut self) -> Incoming {
        unreachable!("nothing is received")
    }

    fn reply_recv<const CAPS: usize>(&mut self, _: Outgoing<CAPS>) -> Incoming {
        unreachable!("nothing is received")
    }

    fn ticket(&mut self) -> Option<Ticket> {
        None
    }

    fn keep(&mut self) {}

    fn answer<const CAPS: usize>(&mut self, _: Ticket, _: Outgoing<CAPS>) -> Result<(), Status> {
        Ok(())
    }

    fn discard(&mut self, _: &Incoming) {}
}

/// A server with a volume that has to be committed, and a client of it.
fn service() -> Option<(World, TestClient)> {
    let disk = MemoryDisk::from_image(ext4_image(Format::Usual)?.to_vec());
    let volume = Ext4Volume::mount(Cache::new(disk, 1 << 20), false, now).expect("mounting");
    let world = World::new(tree(Box::new(volume)), Limits::default());
    let client = client(&world, 1).0;
    Some((world, client))
}

fn change(world: &World, client: &mut TestClient, port: &mut Ends, name: &str) {
    client
        .mkdir(name, Mode::from_bits_retain(0o755))
        .expect("a folder");
    world.turn(port);
    assert!(port.0.is_some_and(|after| after > 0), "{:?}", port.0);
}

#[test]
fn a_wait_that_ended_with_a_commit_is_followed_by_one_without_an_end() {
    let Some((world, mut client)) = service() else {
        return;
    };
    let mut port = Ends::default();
    for name in ["/m/a", "/m/b"] {
        change(&world, &mut client, &mut port, name);
        // The moment has come.
        world.turn(&mut port);
        assert_eq!(port.0, None, "{name}");
        // And nothing comes of it any more.
        world.turn(&mut port);
        assert_eq!(port.0, None, "{name}");
    }
}

#[test]
fn a_signal_between_two_requests_leaves_no_end_behind() {
    let Some((world, mut client)) = service() else {
        return;
    };
    let mut port = Ends::default();
    change(&world, &mut client, &mut port, "/m/a");
    world.notified(&mut port);
    world.turn(&mut port);
    assert_eq!(port.0, None);
    change(&world, &mut client, &mut port, "/m/b");
}
