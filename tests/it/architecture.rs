//! Holds the floors of the house: who may know whom, read from the source.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What each room may name of the others; docs/ARCHITECTURE.md says why.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("quick_action", &["domain"]),
    ("crypto", &[]),
    ("telemetry", &[]),
    ("server", &[]),
    ("cluster", &[]),
    ("egress", &[]),
    ("config", &["domain", "crypto"]),
    ("rules", &["domain", "quick_action"]),
    ("queue", &["domain"]),
    ("store", &["domain", "crypto", "quick_action", "rules"]),
    (
        "connector",
        &["domain", "crypto", "quick_action", "rules", "egress"],
    ),
    ("exchange", &[]),
    (
        "bulk",
        &[
            "domain",
            "connector",
            "crm",
            "exchange",
            "queue",
            "rules",
            "store",
        ],
    ),
    ("lookup", &["domain", "connector", "queue", "store"]),
    (
        "crm",
        &[
            "domain",
            "connector",
            "crypto",
            "lookup",
            "queue",
            "quick_action",
            "rules",
            "store",
        ],
    ),
    ("auth", &["connector", "crypto", "domain", "store"]),
    (
        "setup",
        &[
            "auth",
            "config",
            "connector",
            "crypto",
            "domain",
            "egress",
            "store",
        ],
    ),
    (
        "api",
        &[
            "auth",
            "crm",
            "domain",
            "queue",
            "quick_action",
            "rules",
            "store",
        ],
    ),
    (
        "web",
        &[
            "auth",
            "bulk",
            "crm",
            "crypto",
            "domain",
            "exchange",
            "queue",
            "quick_action",
            "rules",
            "setup",
            "store",
        ],
    ),
    (
        "intake",
        &[
            "domain",
            "crypto",
            "connector",
            "queue",
            "store",
            "telemetry",
        ],
    ),
    (
        "worker",
        &[
            "domain",
            "connector",
            "crm",
            "crypto",
            "egress",
            "lookup",
            "queue",
            "quick_action",
            "rules",
            "store",
            "telemetry",
        ],
    ),
    ("sandbox", &["egress"]),
];

/// Words that only some places may say, as (word, places).
const ONLY_IN: &[(&str, &[&str])] = &[
    ("reqwest::", &["egress/", "app/service.rs"]),
    (
        "sqlx::query",
        &["store/", "queue/", "app/", "cli/check.rs", "cluster/"],
    ),
    ("Utc::now()", &["domain/clock.rs", "sandbox/mod.rs"]),
    (
        "crate::egress",
        &[
            "connector/gitlab/client/",
            "connector/messenger/",
            "connector/matrix/client",
            "connector/bitrix24/client",
            "connector/oidc/client.rs",
            "worker/",
            "setup/",
            "sandbox/",
            "app/",
            "cli/",
        ],
    ),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file by its path below `src`, without its tests.
fn files() -> BTreeMap<String, String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&source(), &mut found);
    let name = |path: &PathBuf| path.strip_prefix(source()).unwrap().display().to_string();
    found
        .iter()
        .map(|path| (name(path), fs::read_to_string(path).unwrap()))
        .filter(|(name, _)| !name.contains("tests"))
        .map(|(name, text)| {
            let production = text
                .split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap()
                .to_owned();
            (name, production)
        })
        .collect()
}

/// The rooms that a file names, in `crate::room` or `use crate::{room…, room…}`.
fn named_rooms(text: &str) -> BTreeSet<String> {
    let is_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let mut rooms = BTreeSet::new();
    for part in text.split("crate::").skip(1) {
        if let Some(list) = part.strip_prefix('{') {
            // The names at the first level of the braces.
            let mut depth = 1;
            let mut word = String::new();
            let mut fresh = true;
            for char in list.chars() {
                match char {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => fresh = true,
                    char if is_word(char) && depth == 1 && fresh => {
                        word.push(char);
                        continue;
                    }
                    char if char.is_whitespace() => {}
                    _ => fresh = false,
                }
                if !word.is_empty() {
                    rooms.insert(std::mem::take(&mut word));
                    fresh = false;
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            rooms.insert(part.chars().take_while(|char| is_word(*char)).collect());
        }
    }
    rooms
}

#[test]
fn rooms_name_only_rooms_below_them() {
    let mut wrong = Vec::new();
    for (file, text) in files() {
        let room = file.split(['/', '.']).next().unwrap();
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == room) else {
            assert!(
                ["app", "cli", "lib", "main"].contains(&room),
                "{file} is in a room that has no floor"
            );
            continue;
        };
        for named in named_rooms(&text) {
            if named != room && !allowed.contains(&named.as_str()) {
                wrong.push(format!("{file} names {named}"));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn no_two_rooms_know_each_other() {
    for (room, allowed) in MAY_NAME {
        for other in *allowed {
            let (_, back) = MAY_NAME.iter().find(|(name, _)| name == other).unwrap();
            assert!(!back.contains(room), "{room} and {other}");
        }
    }
}

#[test]
fn some_words_are_said_in_their_places_only() {
    let mut wrong = Vec::new();
    for (file, text) in files() {
        for (word, places) in ONLY_IN {
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            let says = code.into_iter().any(|line| line.contains(word));
            if says && !places.iter().any(|place| file.starts_with(place)) {
                wrong.push(format!("{file} says {word}"));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn the_reader_of_names_reads_both_forms() {
    let text = "use crate::{\n    domain::{Clock, Queue},\n    queue::{self, Wake},\n};\nlet x = crate::crypto::digest(b);";
    let rooms: Vec<_> = named_rooms(text).into_iter().collect();
    assert_eq!(rooms, ["crypto", "domain", "queue"]);
}
