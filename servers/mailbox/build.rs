//! Links the component for the target.

fn main() {
    gritos_link::task();
}
