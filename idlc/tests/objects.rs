//! The compiler's tables agree with the kernel's ABI and the runtime.

use gritos_abi::{ObjectType, Rights};
use idlc::objects::{OBJECTS, RIGHTS};

#[test]
fn objects_are_those_of_the_kernel() {
    let known: Vec<String> = ObjectType::ALL[1..]
        .iter()
        .map(|object| format!("{object:?}"))
        .collect();
    let mut ours = OBJECTS.map(str::to_owned).to_vec();
    let mut theirs = known;
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
}

#[test]
fn rights_have_the_numbers_of_the_kernel() {
    for (name, mask) in RIGHTS {
        assert_eq!(
            Rights::from_name(name).map(|right| right.bits()),
            Some(mask),
            "{name}"
        );
    }
    let all = RIGHTS.iter().fold(0, |all, (_, mask)| all | mask);
    assert_eq!(all, Rights::KERNEL.bits());
}

#[test]
fn buffers_have_the_rights_that_the_runtime_checks() {
    assert_eq!(
        gritos_base_api::Buffer::MAY_READ,
        gritos_idl_runtime::BUFFER_READ
    );
    assert_eq!(
        gritos_base_api::Buffer::MAY_WRITE,
        gritos_idl_runtime::BUFFER_WRITE
    );
}
