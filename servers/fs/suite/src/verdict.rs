//! How tests say what they expect.

/// Ends the test unless both are the same.
macro_rules! same {
    ($found:expr, $expected:expr) => {{
        let (found, expected) = ($found, $expected);
        if found != expected {
            return Err(alloc::format!(
                "{}:{}: {} is {found:?} and not {expected:?}",
                file!(),
                line!(),
                stringify!($found)
            ));
        }
    }};
}

/// Ends the test unless a call succeeds; what it returned.
macro_rules! done {
    ($call:expr) => {
        match $call {
            Ok(value) => value,
            Err(error) => {
                return Err(alloc::format!(
                    "{}:{}: {} came to {error:?}",
                    file!(),
                    line!(),
                    stringify!($call)
                ));
            }
        }
    };
}

/// Ends the test unless a call fails with this error.
macro_rules! fails {
    ($call:expr, $error:ident) => {
        same!($call.map(drop), Err(gritos_fs_client::Errno::$error))
    };
}

/// Ends the test unless this holds.
macro_rules! holds {
    ($condition:expr) => {
        if !$condition {
            return Err(alloc::format!(
                "{}:{}: {} does not hold",
                file!(),
                line!(),
                stringify!($condition)
            ));
        }
    };
}
