//! Links the task for the target.

fn main() {
    gritos_link::task();
}
