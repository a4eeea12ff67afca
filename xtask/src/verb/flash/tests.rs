use super::flash;
use super::target::{System, Target, candidates, mounts_in};
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that goes when this does.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("gritos-flash-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder can be written");
        Self(folder)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        let folder = path.parent().expect("it lies in the folder");
        fs::create_dir_all(folder).expect("the temporary folder can be written");
        fs::write(&path, content).expect("the temporary folder can be written");
        path
    }

    /// Describes a device as sysfs does: numbers, size in sectors, removable or not.
    fn device(&self, name: &str, number: &str, sectors: u64, removable: u8) {
        let write = |file: &str, text: String| self.write(&format!("block/{name}/{file}"), text);
        write("dev", format!("{number}\n"));
        write("size", format!("{sectors}\n"));
        write("removable", format!("{removable}\n"));
        write("device/vendor", "Generic \n".into());
        write("device/model", "SD/MMC          \n".into());
    }

    fn partition(&self, disk: &str, name: &str, number: &str) {
        self.write(&format!("block/{disk}/{name}/dev"), format!("{number}\n"));
        self.write(&format!("block/{disk}/{name}/partition"), "1\n");
    }

    fn system(&self, mounts: &str) -> System {
        System {
            sys: self.0.clone(),
            in_use: mounts_in(mounts),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays in the temporary folder does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

const CARD: u64 = 62_333_952;
const ROOT: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                    30 22 0:26 / /proc rw - proc proc rw\n";

/// A machine with a disk that it runs from and a card.
fn machine(name: &str) -> Scratch {
    let sys = Scratch::new(name);
    sys.device("sda", "8:0", 1_000_000_000, 0);
    sys.partition("sda", "sda1", "8:1");
    sys.device("sdb", "8:16", CARD, 1);
    sys.partition("sdb", "sdb1", "8:17");
    sys.device("sdc", "8:32", 0, 1);
    sys
}

fn refusal(system: &System, name: &str, force: bool) -> String {
    let target = Target::of_system(system, name).expect("it is described");
    target
        .check(system, force)
        .expect_err("a refusal")
        .to_string()
}

#[test]
fn candidates_have_size_and_model() {
    let sys = machine("candidates");
    let found = candidates(&sys.system(ROOT)).expect("a list");
    let found: Vec<_> = found.iter().map(Target::describe).collect();
    assert_eq!(found, ["/dev/sdb (31.9 GB, Generic SD/MMC)"]);
}

#[test]
fn what_is_mounted_is_refused_even_by_force() {
    let sys = machine("mounted");
    let system = sys.system(&format!(
        "{ROOT}40 22 8:17 / /media/card rw - vfat /dev/sdb1 rw"
    ));
    for force in [false, true] {
        let text = refusal(&system, "sdb", force);
        assert!(
            text.contains("/dev/sdb1 is mounted at /media/card"),
            "{text}"
        );
    }
    assert!(candidates(&system).expect("a list").is_empty());
}

#[test]
fn the_system_s_own_disk_is_refused_also_below_a_volume() {
    let sys = machine("own");
    let text = refusal(&sys.system(ROOT), "sda", true);
    assert!(
        text.contains("/dev/sda is the disk that this system runs from"),
        "{text}"
    );
    // The same through an encrypted volume that a logical volume lies on.
    sys.write("block/sda/sda1/holders/dm-0/dev", "253:0\n");
    sys.write("block/sda/sda1/holders/dm-0/holders/dm-1/dev", "253:1\n");
    let text = refusal(
        &sys.system("22 1 253:1 / / rw - ext4 /dev/mapper/root rw"),
        "sda",
        true,
    );
    assert!(text.contains("this system runs from"), "{text}");
}

#[test]
fn what_is_probably_no_card_needs_force() {
    let sys = machine("force");
    sys.device("sdd", "8:48", CARD, 0);
    sys.device("sde", "8:64", (257 << 30) / 512, 1);
    sys.device("mmcblk0", "179:0", CARD, 0);
    let system = sys.system(ROOT);
    let check = |name, force| {
        let target = Target::of_system(&system, name).expect("it is described");
        target.check(&system, force).is_ok()
    };
    assert_eq!((check("sdd", false), check("sdd", true)), (false, true));
    assert_eq!((check("sde", false), check("sde", true)), (false, true));
    assert!(check("mmcblk0", false), "a card in a reader of its own");
    assert!(!check("sdc", true), "a reader without a card");
}

#[test]
fn an_image_that_does_not_fit_is_refused() {
    let sys = machine("room");
    let target = Target::of_system(&sys.system(ROOT), "sdb").expect("it is described");
    assert!(target.check_room(CARD * 512).is_ok());
    let error = target.check_room(CARD * 512 + 1).expect_err("a refusal");
    assert!(
        error
            .to_string()
            .contains("/dev/sdb is too small: it holds 31.9 GB, and the image needs 32.0 GB"),
        "{error}"
    );
}

#[test]
fn what_is_no_whole_device_is_refused() {
    let system = System::running().expect("Linux tells");
    let error = Target::find(&system, Path::new("/dev/null")).expect_err("a refusal");
    assert!(error.to_string().contains("is no block device"), "{error}");
    let error = Target::find(&system, Path::new("/dev/none")).expect_err("a refusal");
    assert!(error.to_string().contains("there is no device"), "{error}");
}

fn image() -> Vec<u8> {
    (0..3_000_000_u32).map(|i| (i % 251) as u8).collect()
}

#[test]
fn a_file_is_written_and_read_back() {
    let folder = Scratch::new("file");
    let (image, card) = (
        folder.write("image", image()),
        folder.write("card", vec![9; 4_000_000]),
    );
    let system = System::running().expect("Linux tells");
    let target = Target::find(&system, &card).expect("it is there");
    target
        .check(&system, false)
        .expect("a file is in nobody's use");
    flash(&image, &target).expect("it takes it");
    let found = fs::read(&card).expect("it was written");
    assert!(found[..3_000_000] == fs::read(&image).expect("it was written"));
    assert!(
        found[3_000_000..].iter().all(|&byte| byte == 9),
        "what is behind it stays"
    );
}

/// A file as a block device, where the machine allows that.
struct Loop(String);

impl Loop {
    fn new(file: &Path) -> Option<Self> {
        let output = Command::new("losetup")
            .args(["-f", "--show"])
            .arg(file)
            .output()
            .ok()?;
        let device = String::from_utf8(output.stdout).ok()?.trim().to_string();
        output.status.success().then_some(Self(device))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // A device that stays is the machine's to reclaim.
        let _ = Command::new("losetup").args(["-d", &self.0]).status();
    }
}

#[test]
fn a_block_device_is_written_and_one_in_use_is_not() {
    let folder = Scratch::new("loop");
    let image = folder.write("image", image());
    let card = folder.write("card", vec![9; 4 << 20]);
    let Some(device) = Loop::new(&card) else {
        println!("no loop devices on this machine for this user: only files were tried");
        return;
    };
    let system = System::running().expect("Linux tells");
    let target = Target::find(&system, Path::new(&device.0)).expect("it is there");
    assert!(target.check(&system, false).is_err(), "it is not removable");
    target.check(&system, true).expect("unless by force");
    flash(&image, &target).expect("it takes it");
    assert!(
        fs::read(&device.0).expect("it can be read")[..3_000_000]
            == fs::read(&image).expect("written")
    );
    // Whoever has claimed the device, the system says no.
    let mut options = fs::OpenOptions::new();
    let held = options
        .read(true)
        .custom_flags(rustix::fs::OFlags::EXCL.bits().cast_signed());
    let held = held.open(&device.0).expect("nobody has it");
    let error = flash(&image, &target).expect_err("a refusal");
    assert!(
        format!("{error:#}").contains("does nothing use it"),
        "{error:#}"
    );
    drop(held);
}
