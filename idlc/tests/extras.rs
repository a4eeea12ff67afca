//! What is generated on request: mocks, fuzz functions, decoder tables; and
//! that `idlc json` is what its schema says.

use std::path::PathBuf;

use gritos_idl_runtime::loopback::Loopback;
use gritos_idl_runtime::{Address, Answer, Cap, Error, WireError};
use gritos_test_common_api::{Clock, ClockClient, ClockMock, Stamp, fuzz_clock};
use gritos_test_shapes_api::{Colour, ShapeError, Thing, ThingClient, ThingMock, fuzz_thing};
use idlc::driver::{Compiled, compile};
use idlc::emit::json::{decoder_table, interface};
use idlc::load::Disk;
use proptest::prelude::{any, proptest};
use serde_json::Value;

fn thing() -> ThingMock<Vec<u64>> {
    ThingMock {
        context: Vec::new(),
        look: |seen, _, at| {
            seen.push(at);
            Ok(at.wrapping_mul(2))
        },
        change: |_, _, _| Err(ShapeError::NotFound),
    }
}

#[test]
fn a_mock_is_a_server() {
    let mut wire = Loopback::<_, Thing>::new(thing());
    wire.badge = 5;
    wire.rights |= Thing::LOOK | Thing::CHANGE;
    let mut client = ThingClient::new(Cap::new(Address::root(1)), &mut wire);
    assert_eq!(client.look(21), Ok(42));
    assert_eq!(
        client.change(Colour::Red),
        Err(Error::Server(ShapeError::NotFound))
    );
    assert_eq!(wire.server.context, [21]);

    let clock = ClockMock {
        context: (),
        now: |(), _| Stamp {
            seconds: 1,
            nanos: 2,
        },
        next: |(), _| {},
    };
    let mut wire = Loopback::<_, Clock>::new(clock);
    wire.badge = 1 << 31;
    let mut client = ClockClient::new(Cap::new(Address::root(1)), &mut wire);
    assert_eq!(
        client.now(),
        Ok(Stamp {
            seconds: 1,
            nanos: 2
        })
    );
}

proptest! {
    #[test]
    fn fuzz_functions_take_any_bytes(data in proptest::collection::vec(any::<u8>(), 0..128)) {
        let _ = fuzz_thing(&mut thing(), &data);
        let clock = ClockMock { context: (), now: |(), _| Stamp { seconds: 1, nanos: 2 }, next: |(), _| {} };
        let _ = fuzz_clock(&mut { clock }, &data);
    }
}

#[test]
fn fuzz_functions_reach_the_server() {
    // First method, one word: 9; badge 3 with all rights.
    let mut data = vec![0, 1, 9];
    data.resize(2 + 8 * 8, 0);
    data.extend([3, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    let mut server = thing();
    assert!(matches!(fuzz_thing(&mut server, &data), Answer::Words(reply) if reply.words[0] == 18));
    data[0] = 2;
    assert_eq!(
        fuzz_thing(&mut server, &data),
        Answer::Refused(WireError::UnknownMethod)
    );
}

fn corpus() -> Compiled {
    let roots = [
        "tests/good",
        "../servers/base.gidl",
        "../servers/fs/fs.gidl",
        "../servers/net/net.gidl",
    ];
    let compiled = compile(&Disk, &roots.map(PathBuf::from)).expect("the files are there");
    assert!(!compiled.diagnostics.has_errors());
    compiled
}

#[test]
fn decoder_tables_name_what_is_where() {
    let compiled = corpus();
    let package = compiled
        .interface
        .package("gritos.fs")
        .expect("it is there");
    let table: Value =
        serde_json::from_str(&decoder_table(&compiled.interface, package)).expect("it is JSON");
    let protocols = table["protocols"].as_array().expect("a list");
    let file = protocols
        .iter()
        .find(|p| p["protocol"] == "gritos.fs.File")
        .expect("it is there");
    let read = &file["methods"]["3"];
    assert_eq!(read["name"], "read");
    assert_eq!(read["request"]["fields"][0]["name"], "offset");
    assert_eq!(read["request"]["fields"][0]["byte"], 0);
    assert_eq!(read["request"]["fields"][1]["slot"], 0);
    assert_eq!(
        table["names"]["gritos.fs.FsError"]["members"]["2"],
        "NOT_FOUND"
    );
}

/// As much of JSON Schema as `schema.json` uses.
fn violates(schema: &Value, root: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root
            .pointer(reference.trim_start_matches('#'))
            .expect("the reference leads somewhere");
        return violates(target, root, value, at);
    }
    if let Some(expected) = schema.get("const")
        && value != expected
    {
        return Some(format!("{at}: {value} is not {expected}"));
    }
    if let Some(list) = schema["enum"].as_array()
        && !list.contains(value)
    {
        return Some(format!("{at}: {value} is not listed"));
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fitting = choices
            .iter()
            .filter(|choice| violates(choice, root, value, at).is_none())
            .count();
        return (fitting != 1).then(|| format!("{at}: {fitting} choices fit"));
    }
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        other => panic!("the schema has an unknown type {other}"),
    };
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|name| is(name)) {
        return Some(format!("{at}: {value} is not of type {types:?}"));
    }
    if let Some(object) = value.as_object() {
        for required in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !object.contains_key(required) {
                return Some(format!("{at}: no `{required}`"));
            }
        }
        for (key, value) in object {
            match schema["properties"].get(key) {
                Some(inner) => {
                    if let Some(found) = violates(inner, root, value, &format!("{at}.{key}")) {
                        return Some(found);
                    }
                }
                None if schema["additionalProperties"] == false => {
                    return Some(format!("{at}: `{key}` is not described"));
                }
                None => {}
            }
        }
    }
    let items = value.as_array().into_iter().flatten().enumerate();
    items
        .filter_map(|(i, item)| violates(schema.get("items")?, root, item, &format!("{at}[{i}]")))
        .next()
}

#[test]
fn json_is_what_the_schema_says() {
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string("schema.json").expect("it is there"))
            .expect("it is JSON");
    let mut value: Value =
        serde_json::from_str(&interface(&corpus().interface)).expect("it is JSON");
    assert_eq!(violates(&schema, &schema, &value, "interface"), None);
    value["packages"][0]["extra"] = Value::Bool(true);
    assert!(
        violates(&schema, &schema, &value, "interface").is_some(),
        "the check checks"
    );
}
