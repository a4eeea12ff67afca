//! The table of wire cases, over memory.

use gritos_idl_runtime::loopback::Loopback;
use gritos_idl_runtime::{Address, Cap};
use gritos_test_shapes_api::Shapes;
use gritos_wire_cases::{Mirror, run};

#[test]
fn each_case_has_its_words_and_comes_back() {
    let wire = Loopback::<_, Shapes>::new(Mirror);
    assert_eq!(run(Cap::new(Address::root(1)), wire), Ok(9));
}
