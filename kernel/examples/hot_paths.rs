//! Does one work of the kernel so many times, for a tool that counts instructions: NAME COUNT.
//!
//! Without arguments it prints the features of the processor, then the names of all works.

use _kernel::measured::{processor_features, WORKS};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, count] = &arguments[..] else {
        println!("{}", processor_features());
        for (name, _) in WORKS {
            println!("{name}");
        }
        return;
    };
    let work = WORKS.iter().find(|(known, _)| known == name);
    match (work, count.parse()) {
        (Some((_, work)), Ok(count)) => work(count),
        _ => {
            eprintln!("no such work, or no number: {name} {count}");
            std::process::exit(2);
        }
    }
}
