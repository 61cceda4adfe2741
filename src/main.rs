//! The program `liaison`.

use std::process::ExitCode;

use liaison::{cli, cluster::launcher};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    // Before anything else: the process is about to become PostgreSQL and must not have threads or
    // open files of ours.
    if args.next().is_some_and(|word| word == launcher::WORD) {
        return launcher::run(args);
    }
    cli::run()
}
