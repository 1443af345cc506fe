//! The house keeps its shape: who may import whom, where outside crates live, where time and chance may be read.
//!
//! `proxy/ARCHITECTURE.md` says why. Each rule is a table here; an exception is a row with a reason, and a row that
//! is no longer needed fails too, so that the tables stay true.

mod scan;
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use scan::{Scan, scan};

/// Folders of `proxy/` by floor. A file knows its own folder and lower floors, never a folder of its own floor.
const FLOORS: [&[&str]; 6] = [
    &["base"],
    &["config", "kv", "wire"],
    &[
        "guard",
        "route",
        "cache",
        "balance",
        "upstream",
        "transform",
        "telemetry",
    ],
    &["live"],
    &["gateway", "jobs", "admin"],
    &["app"],
];

/// `main.rs` and `lib.rs` stand above all floors.
const ROOF: usize = FLOORS.len();

/// Up to this floor nobody reads a clock or draws a number.
const TIMELESS: usize = 2;

/// An outside crate, where it may be used, and what to do instead elsewhere.
struct Home {
    name: &'static str,
    homes: &'static [&'static str],
    instead: &'static str,
}

const HOMES: &[Home] = &[
    Home {
        name: "pingora",
        homes: &["gateway", "app", "cache/store", "upstream", "live"], // live holds prepared peers
        instead: "stages take and return `http` and `base` types; let `gateway/` translate",
    },
    Home {
        name: "redis",
        homes: &["kv"],
        instead: "use the small trait of `kv/`, which has the deadline and the breaker",
    },
    Home {
        name: "prometheus",
        homes: &["telemetry"],
        instead: "count through a handle of `telemetry/metrics`",
    },
    Home {
        name: "governor",
        homes: &["guard"],
        instead: "ask a `guard/rate`, which is told the time and remembers a bounded number of clients",
    },
    Home {
        name: "brotli",
        homes: &["transform"],
        instead: "bodies are coded and decoded by `transform/compress`, which knows the levels and the limits",
    },
    Home {
        name: "flate2",
        homes: &["transform"],
        instead: "bodies are coded and decoded by `transform/compress`, which knows the levels and the limits",
    },
    Home {
        name: "zstd",
        homes: &["transform", "cache/shared"], // values of the second tier are made smaller on their way
        instead: "bodies are coded and decoded by `transform/compress`, which knows the levels and the limits",
    },
    Home {
        name: "hickory_resolver",
        homes: &["jobs/resolve"],
        instead: "names are resolved in the background alone; everybody else sees addresses",
    },
    Home {
        name: "tokio_rustls",
        homes: &[
            "upstream",
            "config", // reads certificates and their keys
            "kv",     // TLS to Redis names its cryptography
            "live/tls",
            "live/issued",
            "gateway/tls",
            "jobs/acme",   // asks the CA, and reads what it signed
            "jobs/traces", // TLS to collectors names its cryptography
        ],
        instead: "whom to trust is worked out where a connection is opened: `upstream/`; what a port answers with, in `live/tls`",
    },
    Home {
        name: "ring",
        homes: &[
            "balance/sticky",
            "live/sticky",
            "live/tls",                 // TLS of data ports names its cryptography
            "guard/rate/shared", // what a client chooses must not meet another's count, on any proxy: no quick hash
            "upstream/tls",      // TLS to nodes names its cryptography
            "config/validate/node_tls", // whether a key fits its certificate
            "jobs/acme",         // names its cryptography, as all TLS does
        ],
        instead: "cookies are signed and read by `balance/sticky/token`, names in Redis made by `balance/sticky/shared` and `guard/rate/shared`; the key of a process is drawn in `live/sticky`",
    },
    Home {
        name: "instant_acme",
        homes: &["jobs/acme"],
        instead: "certificates are got by `jobs/acme`; handshakes ask `live/issued`",
    },
    Home {
        name: "rcgen",
        homes: &["jobs/acme"],
        instead: "keys and signing requests are made where a certificate is ordered: `jobs/acme`",
    },
    Home {
        name: "x509_parser",
        homes: &["base/certificate"],
        instead: "what a certificate says is read by `base/certificate`",
    },
    Home {
        name: "utoipa",
        homes: &["admin"],
        instead: "what is told in the OpenAPI document are the views of `admin/`",
    },
    Home {
        name: "utoipa_axum",
        homes: &["admin"],
        instead: "the stats port's routes live in `admin/`",
    },
    Home {
        name: "axum",
        homes: &["admin", "app/demo"],
        instead: "the stats port's routes live in `admin/`",
    },
    Home {
        name: "lol_html",
        homes: &["transform/minify"],
        instead: "bodies are minified by `transform/minify`, which takes the original back where a crate fails",
    },
    Home {
        name: "cssparser",
        homes: &["transform/minify"],
        instead: "bodies are minified by `transform/minify`, which takes the original back where a crate fails",
    },
    Home {
        name: "tree_sitter",
        homes: &["transform/minify"],
        instead: "bodies are minified by `transform/minify`, which takes the original back where a crate fails",
    },
    Home {
        name: "tree_sitter_javascript",
        homes: &["transform/minify"],
        instead: "bodies are minified by `transform/minify`, which takes the original back where a crate fails",
    },
    Home {
        name: "arc_swap",
        homes: &["live/hold"],
        instead: "there is one swap in the program: ask `live/hold` for the generation in use",
    },
    Home {
        name: "serde_yaml",
        homes: &["config"],
        instead: "the file's language ends in `config/`; read `config/checked`",
    },
    Home {
        name: "saphyr_parser",
        homes: &["config"],
        instead: "positions in files are `config/problem`'s business",
    },
    Home {
        name: "notify",
        homes: &["jobs"],
        instead: "watching is a background loop: `jobs/`, which calls `live/control`",
    },
    Home {
        name: "prost",
        homes: &["telemetry/traces/otlp"],
        instead: "what collectors read is written by `telemetry/traces/otlp`",
    },
    Home {
        name: "clap",
        homes: &["app", "main"],
        instead: "words of the command line end in `app/`; pass values on",
    },
    Home {
        name: "listenfd",
        homes: &["app/activation"],
        instead: "sockets that came with the process are taken once, by `app/activation`",
    },
    Home {
        name: "command_fds",
        homes: &["app/upgrade"],
        instead: "the one process that is ever started is the next one, by `app/upgrade`",
    },
    Home {
        name: "sd_notify",
        homes: &["app/notify"],
        instead: "the service manager is told by `app/notify`, which knows when to say no more",
    },
    Home {
        name: "ureq",
        homes: &["app", "jobs/traces"], // a thread that may wait
        instead: "only the commands are clients of the stats port, and spans go to their collector from `jobs/traces`; requests to nodes go through `upstream/`",
    },
];

/// Where text becomes typed values. Everyone else reads `config::checked`.
const DESERIALIZE: Home = Home {
    name: "Deserialize",
    homes: &[
        "config/schema",
        "config/parse", // reads any shape of `config/schema`
        "admin",        // the bodies of its own verbs
        "app",          // the commands' views of the stats port's answers
    ],
    instead: "shapes of the file live in `config/schema/`; read `config::checked` instead",
};

/// Stores may read the clock: an entry's age is theirs to know.
const CLOCKS: &[&str] = &["kv", "cache/store", "cache/shared"]; // leases are waited for, and end by themselves

/// A breach that stays for now.
struct Exception {
    file: &'static str,
    /// The crate or module that is used there all the same.
    uses: &'static str,
    /// Why it stays. Read by people only.
    #[allow(
        dead_code,
        reason = "an exception has to be argued for, and this is where"
    )]
    why: &'static str,
}

const EXCEPTIONS: &[Exception] = &[];

/// More lines than this and a file is looked at again.
const LONG: usize = 450;

/// Files that may be longer: up to how many lines, and why they are one file.
const LONG_FILES: &[(&str, usize, &str)] = &[];

#[test]
fn every_file_imports_only_its_own_folder_and_lower_floors() {
    let found = breaches(&house(), EXCEPTIONS, LONG_FILES);
    assert!(
        found.is_empty(),
        "{} breach(es) of the rules in proxy/ARCHITECTURE.md:\n\n{}\n",
        found.len(),
        found.join("\n\n")
    );
}

/// One source file: its path below `proxy/` and its text.
type Source = (String, String);

/// Every source file of the program.
fn house() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    assert!(!files.is_empty(), "no sources in {}", root.display());
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a source file is readable UTF-8");
        let name = path
            .strip_prefix(&root)
            .expect("below the root")
            .display()
            .to_string();
        (name, text)
    };
    files.into_iter().map(read).collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// All breaches, in words.
fn breaches(
    sources: &[Source],
    exceptions: &[Exception],
    long: &[(&str, usize, &str)],
) -> Vec<String> {
    let scans: Vec<(&str, Vec<String>, Scan)> = sources
        .iter()
        .map(|(file, text)| {
            let module = module_of(file);
            (file.as_str(), module.clone(), scan(text, &module))
        })
        .collect();
    let tests = test_files(&scans);
    let mut book = Book {
        exceptions,
        used: BTreeSet::new(),
        found: Vec::new(),
    };
    for ((file, module, scan), (_, text)) in scans.iter().zip(sources) {
        let is_test = tests.iter().any(|t| module.starts_with(t));
        floors(file, module, scan, &mut book);
        homes(file, module, scan, is_test, &mut book);
        clocks(file, module, scan, is_test, &mut book);
        looks(file, text, long, &mut book);
    }
    book.close(sources, long)
}

/// What was found, less the exceptions.
struct Book<'a> {
    exceptions: &'a [Exception],
    used: BTreeSet<usize>,
    found: Vec<String>,
}

impl Book<'_> {
    fn breach(&mut self, file: &str, line: usize, uses: &str, what: &str, instead: &str) {
        let excepted = self
            .exceptions
            .iter()
            .position(|e| e.file == file && e.uses == uses);
        match excepted {
            Some(at) => drop(self.used.insert(at)),
            None => self
                .found
                .push(format!("proxy/{file}:{line}: {what}\n  instead: {instead}")),
        }
    }

    fn close(mut self, sources: &[Source], long: &[(&str, usize, &str)]) -> Vec<String> {
        for (at, e) in self.exceptions.iter().enumerate() {
            if !self.used.contains(&at) {
                self.found.push(format!(
                    "tests/floors.rs: {} no longer uses {} against the rules\n  instead: strike its row from EXCEPTIONS",
                    e.file, e.uses
                ));
            }
        }
        for (name, _, _) in long {
            let lines = sources
                .iter()
                .find(|(file, _)| file == name)
                .map_or(0, |s| s.1.lines().count());
            if lines <= LONG {
                self.found.push(format!(
                    "tests/floors.rs: {name} is gone or short ({lines} lines) and needs no leave\n  instead: strike its row from LONG_FILES"
                ));
            }
        }
        self.found
    }
}

/// `balance/pick/mod.rs` is `balance::pick`; `main.rs` and `lib.rs` are the root.
fn module_of(file: &str) -> Vec<String> {
    let mut module: Vec<String> = file
        .trim_end_matches(".rs")
        .split('/')
        .map(String::from)
        .collect();
    let last = module.last().map_or("", String::as_str);
    if last == "mod" || (module.len() == 1 && matches!(last, "main" | "lib")) {
        module.pop();
    }
    module
}

/// Modules in files of their own that only tests see.
fn test_files(scans: &[(&str, Vec<String>, Scan)]) -> Vec<Vec<String>> {
    let below = |module: &[String], name: &str| [module, &[name.to_string()]].concat();
    scans
        .iter()
        .flat_map(|(_, module, scan)| scan.test_modules.iter().map(|name| below(module, name)))
        .collect()
}

fn floor_of(folder: &str) -> Option<usize> {
    FLOORS.iter().position(|folders| folders.contains(&folder))
}

/// Who may import whom.
fn floors(file: &str, module: &[String], scan: &Scan, book: &mut Book<'_>) {
    let me = module.first().map_or("", String::as_str);
    let Some(mine) = (if me.is_empty() {
        Some(ROOF)
    } else {
        floor_of(me)
    }) else {
        let instead =
            "put it into one of the folders in FLOORS, or give the new folder a floor there";
        return book.breach(file, 1, me, &format!("`{me}` has no floor"), instead);
    };
    for path in &scan.paths {
        // The binary sees the library by its name.
        let in_main = file == "main.rs" && path.segments[0] == "tidegate";
        if !path.is_own && !in_main {
            continue;
        }
        let segments = &path.segments[usize::from(in_main)..];
        let it = segments.first().map_or("*", String::as_str);
        let Some(floor) = floor_of(it) else {
            if mine < ROOF {
                let what = format!("`crate::{it}` is no folder of the house");
                let instead = "import what is used by its full name; nothing but the folders lives at the crate's root";
                book.breach(file, path.line, it, &what, instead);
            }
            continue;
        };
        if it == me || floor < mine {
            continue;
        }
        let what = format!(
            "`{me}` (floor {mine}) imports `{}` (floor {floor})",
            segments.join("::")
        );
        let instead = if floor == mine {
            format!(
                "folders of one floor do not know each other: what `{me}` and `{it}` share goes down to `base/` as a \
                 value or a small trait, and a higher floor calls both"
            )
        } else {
            format!(
                "facts travel up as return values: return what `{it}` needs and let it call `{me}`, or move the shared \
                 value to `base/`"
            )
        };
        book.breach(file, path.line, it, &what, &instead);
    }
}

fn lives_in(module: &[String], file: &str, homes: &[&str]) -> bool {
    let whole = if module.is_empty() {
        file.trim_end_matches(".rs").to_string()
    } else {
        module.join("/")
    };
    let below = |home: &str| {
        whole
            .strip_prefix(home)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    homes.iter().any(|home| below(home))
}

/// Outside crates stay at home.
fn homes(file: &str, module: &[String], scan: &Scan, is_test: bool, book: &mut Book<'_>) {
    for home in HOMES
        .iter()
        .filter(|home| !lives_in(module, file, home.homes))
    {
        let is_it = |name: &str| {
            name == home.name
                || name
                    .strip_prefix(home.name)
                    .is_some_and(|rest| rest.starts_with('_'))
        };
        let mut strays = scan
            .paths
            .iter()
            .filter(|p| !p.is_own && !p.in_test && is_it(&p.segments[0]));
        if let Some(path) = strays.next().filter(|_| !is_test) {
            let what = format!(
                "`{}` is used outside of its home ({})",
                home.name,
                home.homes.join(", ")
            );
            book.breach(file, path.line, home.name, &what, home.instead);
        }
    }
    if !is_test && !lives_in(module, file, DESERIALIZE.homes) {
        let names = ["Deserialize", "DeserializeOwned"];
        let stray = scan
            .tokens
            .iter()
            .find(|t| !t.in_test && names.contains(&t.text.as_str()));
        if let Some(token) = stray {
            let what = format!(
                "`{}` outside of {}",
                token.text,
                DESERIALIZE.homes.join(", ")
            );
            book.breach(
                file,
                token.line,
                DESERIALIZE.name,
                &what,
                DESERIALIZE.instead,
            );
        }
    }
}

/// No time and no chance below the live world.
fn clocks(file: &str, module: &[String], scan: &Scan, is_test: bool, book: &mut Book<'_>) {
    let floor = module.first().and_then(|me| floor_of(me)).unwrap_or(ROOF);
    if is_test || floor > TIMELESS || lives_in(module, file, CLOCKS) {
        return;
    }
    let instead = "take `now` (or a random number, or a seed) as an argument; the edges read it once and pass it in";
    for path in scan.paths.iter().filter(|p| !p.in_test) {
        let clock = matches!(path.segments.as_slice(), [.., of, now] if matches!(of.as_str(), "Instant" | "SystemTime") && now == "now");
        let dice = matches!(path.segments[0].as_str(), "fastrand" | "rand" | "getrandom");
        if clock || dice {
            let what = format!(
                "`{}` below floor {}",
                path.segments.join("::"),
                TIMELESS + 1
            );
            book.breach(
                file,
                path.line,
                if clock { "now" } else { "random" },
                &what,
                instead,
            );
        }
    }
    let pairs = scan.tokens.windows(2).zip(scan.tokens.iter().skip(2));
    for (pair, after) in pairs {
        let is_call = pair[0].text == "." && pair[1].text == "elapsed" && after.text == "(";
        if is_call && !pair[1].in_test {
            let what = format!("`elapsed()` reads the clock below floor {}", TIMELESS + 1);
            book.breach(file, pair[1].line, "now", &what, instead);
        }
    }
}

/// Every file says why it exists and fits a reader's patience.
fn looks(file: &str, text: &str, long: &[(&str, usize, &str)], book: &mut Book<'_>) {
    if !text.starts_with("//!") {
        let instead = "begin with `//!`: why it exists, and what it must never do";
        book.breach(
            file,
            1,
            "//!",
            "the file does not say what it is for",
            instead,
        );
    }
    let lines = text.lines().count();
    let leave = long
        .iter()
        .find(|(name, _, _)| *name == file)
        .map_or(LONG, |(_, most, _)| *most);
    if lines > leave {
        let what = format!("{lines} lines, more than {leave}");
        let instead =
            "find the second subject in it and give that a file, or argue for a row in LONG_FILES";
        book.breach(file, lines, "lines", &what, instead);
    }
}
