use gritos_abi::boot_image::{BootImage, EntryKind, FLAG_QUIET, PAGE, crc32c};

use super::program::{component, flatten, root_task};
use super::{Contents, Image, build, verify};
use crate::elf::Program;
use crate::elf::tests::{Part, elf};

const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

fn kernel() -> Program {
    let mut head = vec![0xaa; 64];
    head[56..60].copy_from_slice(b"ARM\x64");
    let parts: [Part<'_>; 3] = [
        (KERNEL_BASE, head.as_slice(), 0x1000, 5),
        (KERNEL_BASE + 0x1000, b"constants", 0x1000, 4),
        (KERNEL_BASE + 0x2000, b"variables", 0x1800, 6),
    ];
    program(&elf(KERNEL_BASE, &parts, Some(KERNEL_BASE + 0x5000)))
}

fn root() -> Program {
    let parts: [Part<'_>; 3] = [
        (0x20_0000, b"code", 4, 5),
        (0x20_1010, b"constants", 9, 4),
        (0x20_3000, b"variables", 0x2001, 6),
    ];
    program(&elf(0x20_0000, &parts, None))
}

fn program(bytes: &[u8]) -> Program {
    let path = std::env::temp_dir().join(format!(
        "gritos-image-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&path, bytes).expect("the temporary folder can be written");
    let program = crate::elf::read(&path).expect("a good file");
    std::fs::remove_file(&path).expect("it was just written");
    program
}

fn image() -> Image {
    let contents = Contents {
        flags: FLAG_QUIET,
        system: Some(b"table".to_vec()),
        components: Vec::new(),
        data: vec![
            ("cmdline".into(), b"ipc".to_vec()),
            ("empty".into(), Vec::new()),
        ],
    };
    let kernel = flatten(&kernel()).expect("a kernel");
    let programs = [
        (
            "root",
            EntryKind::Root,
            root_task(&root()).expect("a root task"),
        ),
        (
            "shell",
            EntryKind::Component,
            component(&root(), 0x8000).expect("a component"),
        ),
    ];
    build(kernel, &programs, &contents).expect("an image")
}

#[test]
fn the_kernel_reads_back_what_was_put_in() {
    let image = image();
    verify(&image).expect("an intact image");
    assert_eq!(image.boot_image, 0x5000);
    let parsed = BootImage::parse(&image.bytes[0x5000..], crc32c).expect("an intact image");
    assert_eq!(parsed.header().flags, FLAG_QUIET);
    let names: Vec<_> = parsed.entries().map(|e| e.name().to_string()).collect();
    assert_eq!(
        names,
        ["kernel", "root", "shell", "system", "cmdline", "empty"]
    );
    let system = parsed.entry(3).expect("entry 3");
    assert_eq!(system.kind, EntryKind::System as u32);
    assert_eq!(parsed.payload(&system), Some(&b"table"[..]));
    let cmdline = parsed.entry(4).expect("entry 4");
    assert_eq!(cmdline.kind, EntryKind::Data as u32);
    assert_eq!(parsed.payload(&cmdline), Some(&b"ipc"[..]));
}

#[test]
fn the_kernel_entry_covers_what_nobody_writes() {
    let image = image();
    let parsed = BootImage::parse(&image.bytes[image.boot_image..], crc32c).expect("intact");
    assert_eq!(parsed.entry(0).expect("entry 0").bytes, 0x2000);
    let mut damaged = image.bytes[..image.boot_image].to_vec();
    assert_eq!(parsed.verify(0, &damaged, crc32c), Ok(()));
    damaged[0x2000] ^= 1;
    assert_eq!(parsed.verify(0, &damaged, crc32c), Ok(()), "a variable");
    damaged[0x1000] ^= 1;
    assert!(parsed.verify(0, &damaged, crc32c).is_err(), "a constant");
}

#[test]
fn the_image_header_names_the_size_of_everything() {
    let image = image();
    let size: [u8; 8] = image.bytes[16..24].try_into().expect("eight bytes");
    assert_eq!(u64::from_le_bytes(size), image.bytes.len() as u64);
    assert!((image.bytes.len() as u64).is_multiple_of(PAGE));
}

#[test]
fn the_root_task_is_whole_pages_with_a_guarded_stack() {
    let root = root_task(&root()).expect("a root task");
    for load in &root.loads {
        assert!(load.address.is_multiple_of(PAGE) && load.memory_bytes.is_multiple_of(PAGE));
        assert_eq!(load.bytes.len() as u64, load.memory_bytes);
    }
    let [.., data, stack] = root.loads.as_slice() else {
        panic!("data and a stack");
    };
    assert_eq!((data.address, data.end()), (0x20_3000, 0x20_6000));
    assert_eq!(
        stack.address,
        data.end() + PAGE,
        "one page between them stays unmapped"
    );
    assert_eq!(root.stack, stack.end());
    assert_eq!(&root.loads[1].bytes[0x10..0x19], b"constants");
}

#[test]
fn the_zeros_of_a_component_stay_out_of_the_image() {
    let image = image();
    let parsed = BootImage::parse(&image.bytes[image.boot_image..], crc32c).expect("intact");
    let shell = parsed.entry(2).expect("entry 2");
    assert_eq!(
        (shell.kind, shell.stack),
        (EntryKind::Component as u32, 0x8000)
    );
    assert_eq!(shell.entry_point, 0x20_0000);
    let segments: Vec<_> = shell
        .segments()
        .iter()
        .map(|s| (s.address, s.file_bytes, s.memory_bytes))
        .collect();
    assert_eq!(
        segments,
        [
            (0x20_0000, 4, 0x1000),
            (0x20_1000, 0x19, 0x1000),
            (0x20_3000, 9, 0x3000)
        ]
    );
    let data = shell.segments()[2].offset - shell.offset;
    let payload = parsed.payload(&shell).expect("in range");
    let at = usize::try_from(data).expect("small");
    assert_eq!(&payload[at..at + 9], b"variables");
}

#[test]
fn neighbours_with_the_same_rights_become_one_segment() {
    let parts: [Part<'_>; 4] = [
        (0x1000, b"code", 4, 5),
        (0x2000, b"a", 0x1000, 6),
        (0x3000, b"b", 1, 6),
        (0x5000, b"c", 1, 6),
    ];
    let root = root_task(&program(&elf(0x1000, &parts, None))).expect("a root task");
    let ranges: Vec<_> = root.loads.iter().map(|l| (l.address, l.end())).collect();
    assert_eq!(
        ranges,
        [
            (0x1000, 0x2000),
            (0x2000, 0x4000),
            (0x5000, 0x6000),
            (0x7000, 0x1_f000)
        ]
    );
}

#[test]
fn segments_that_share_a_page_are_refused() {
    let parts: [Part<'_>; 2] = [(0x1000, b"code", 4, 5), (0x1800, b"data", 4, 6)];
    let error = root_task(&program(&elf(0x1000, &parts, None)))
        .err()
        .expect("a refusal");
    assert!(error.to_string().contains("0x1000"), "{error}");
}

#[test]
fn the_same_contents_give_the_same_bytes() {
    assert_eq!(image().bytes, image().bytes);
}

#[test]
fn the_kernel_alone_is_an_image_too() {
    let kernel = flatten(&kernel()).expect("a kernel");
    let image = build(kernel, &[], &Contents::default()).expect("an image");
    verify(&image).expect("an intact image");
    assert_eq!(image.bytes.len(), 0x5000 + 0x1000);
}
