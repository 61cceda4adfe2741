//! Children: this program again as a server, and the processor time that processes use.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::Context;

/// Clock ticks per second in `/proc/<pid>/stat`: the same on all Linux architectures.
const TICKS: f64 = 100.0;

/// A child that serves. It ends when its standard input is closed.
pub(crate) struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts this program with `args` and waits until it serves.
    pub(crate) fn start(args: &[&str], log: File) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("a child without output")?;
        let mut server = Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        server.address = server.line()?.parse().context("the child did not start")?;
        Ok(server)
    }

    /// Reads a line that the child wrote.
    pub(crate) fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Sends the child a line and reads its answer.
    pub(crate) fn ask(&mut self, question: &str) -> anyhow::Result<String> {
        let stdin = self.stdin.as_mut().context("the child is stopping")?;
        writeln!(stdin, "{question}")?;
        self.line()
    }

    /// Returns the processor time that the child used so far.
    pub(crate) fn time(&self) -> anyhow::Result<Duration> {
        Ok(read(self.child.id())?.own)
    }

    /// Stops the child and waits for its end.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        drop(self.stdin.take());
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "a child ended with {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop` both fail, as they should.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Process {
    parent: u32,
    own: Duration,
    ended_children: Duration,
}

/// Returns the processor time of a process with all its children, also of those that have ended.
pub(crate) fn family_time(parent: u32) -> anyhow::Result<Duration> {
    let process = read(parent)?;
    let mut total = process.own + process.ended_children;
    for entry in std::fs::read_dir("/proc")? {
        let id = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        // A process that ends meanwhile is counted with the ended ones next time.
        if let Some(Ok(process)) = id.map(read)
            && process.parent == parent
        {
            total += process.own;
        }
    }
    Ok(total)
}

fn read(id: u32) -> anyhow::Result<Process> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name of the program is in brackets and may hold blanks.
    let (_, rest) = text.rsplit_once(')').context("an unreadable stat")?;
    let fields: Vec<u64> = rest
        .split_whitespace()
        .map(|field| field.parse().unwrap_or_default())
        .collect();
    let field = |number: usize| fields.get(number).copied().unwrap_or_default();
    let time = |ticks: u64| Duration::from_secs_f64(ticks as f64 / TICKS);
    Ok(Process {
        parent: u32::try_from(field(1))?,
        own: time(field(11) + field(12)),
        ended_children: time(field(13) + field(14)),
    })
}
