//! A load generator that costs little: one thread, hand-written protocols, every message verified.
//!
//! It publishes messages that carry their number and time, reads them back as subscribers do, and prints one JSON
//! object: rates, latencies, what was dropped, doubled or out of order, and what the servers' processes used.

mod engine;
mod histogram;
mod ledger;
mod options;
mod processes;
mod protocols;
mod publisher;
mod report;
mod run;
mod session;
mod stamp;
mod tally;

use std::process::ExitCode;

use options::{Options, USAGE};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("wavemq-load: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run::run(&options) {
        Ok(outcome) => {
            println!("{}", outcome.to_json());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("wavemq-load: {}", failure.0);
            ExitCode::FAILURE
        }
    }
}
