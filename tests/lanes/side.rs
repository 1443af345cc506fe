//! One of the two proxies of the differential, with its origin, its connections, and what can be seen of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::made::Made;
use super::world::{BEGIN, World, yaml};
use crate::compress::decode;
use crate::support::client::{Answer, Client, Request};
use crate::support::origin::Origin;
use crate::support::proxy::Tidegate;
use crate::support::wire::Framing;
use crate::support::{check, eventually};

/// Longer than a busy machine leaves waiting what is done behind the answers: all else comes first.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a client saw of an answer, in a form that must be the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The status line.
    pub line: String,
    /// The fields by name in lower case; those of one name in their order.
    pub fields: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// Statuses of the answers before it.
    pub interim: Vec<u16>,
    /// The connection was closed behind it.
    pub closed: bool,
}

impl Heard {
    fn of(mut answer: Answer, closed: bool) -> Heard {
        without_boundary(&mut answer);
        decoded(&mut answer);
        let mut fields: Vec<_> = (answer.head.fields.iter())
            .map(|(name, value)| (name.to_ascii_lowercase(), settled(name, value)))
            .collect();
        fields.sort_by(|(a, _), (b, _)| a.cmp(b)); // stable: those of one name stay in order
        let mut heard = Heard {
            line: answer.head.line,
            fields,
            body: answer.body,
            interim: answer.interim,
            closed,
        };
        // Our own words end with the request's id, which is drawn by chance.
        let text = String::from_utf8_lossy(&heard.body).into_owned();
        if let Some((words, id)) = text.split_once("\nrequest ")
            && heard.has("cache-control", "no-store")
        {
            heard.body = format!("{words}\nrequest of {} characters", id.len()).into_bytes();
        }
        heard
    }

    fn has(&self, name: &str, value: &str) -> bool {
        let mut fields = self.fields.iter();
        fields.any(|(n, v)| n == name && v == value)
    }

    /// What the cache says it did.
    pub fn did(&self) -> &str {
        let mut fields = self.fields.iter();
        let found = fields.find(|(name, _)| name == "cache-status");
        found.map_or("", |(_, value)| value)
    }

    /// Whether it was answered from the store, fresh, and will be for some seconds.
    pub fn is_hit(&self) -> bool {
        self.did().starts_with("tidegate; hit;") && self.did().contains("detail=fresh")
    }

    /// For people; a long body by its length and its sum.
    pub fn told(&self) -> String {
        let mut out = self.line.clone();
        for (name, value) in &self.fields {
            out += &format!("\n      {name}: {value}");
        }
        let sum = (self.body.iter()).fold(0u64, |sum, b| sum.wrapping_mul(31) + u64::from(*b));
        let start = String::from_utf8_lossy(&self.body[..self.body.len().min(80)]).into_owned();
        out + &format!(
            "\n      [{} bytes, sum {sum:x}: {start:?}] interim {:?}, closed: {}",
            self.body.len(),
            self.interim,
            self.closed
        )
    }
}

/// A body that is compressed while it comes is a few bytes longer or shorter by the pieces it came in: what counts is
/// what it decodes to, and that its length was announced rightly.
fn decoded(answer: &mut Answer) {
    let Some(coding) = answer.head.get("content-encoding").map(str::to_owned) else {
        return;
    };
    let is_whole = answer.status == 200 && answer.framing != Framing::Nothing;
    if is_whole {
        answer.body = decode(&coding, &answer.body);
    }
    let lengths = answer.head.fields.iter_mut();
    for (_, length) in lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        // The reader has taken so many bytes, and found them to be all.
        if answer.status == 200 {
            *length = "-".to_owned();
        }
    }
}

/// Several parts of one body are told apart by a word that is drawn by chance.
fn without_boundary(answer: &mut Answer) {
    let kinds = answer.head.fields.iter_mut();
    let mut kinds = kinds.filter(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let parts = kinds.find_map(|(_, kind)| {
        let (start, word) = kind.split_once("boundary=")?;
        let (start, word) = (start.to_owned(), word.to_owned());
        *kind = format!("{start}boundary=-");
        Some(word)
    });
    if let Some(word) = parts {
        let text = String::from_utf8(std::mem::take(&mut answer.body)).expect("parts of a text");
        answer.body = text.replace(&word, "-").into_bytes();
    }
}

/// A field's value without what no two proxies have in common: chance, and the time of the machine.
fn settled(name: &str, value: &str) -> String {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "date" => "-".to_owned(),
        // Of a rate: the machine's own time decides it.
        "retry-after" => format!("{} digits or fewer", value.len().max(5)),
        "set-cookie" if value.starts_with("tg_") => {
            let (name, rest) = value.split_once('=').expect("a cookie has a value");
            let attributes = rest.split_once(';').map_or("", |(_, rest)| rest);
            format!("{name}=-;{attributes}")
        }
        _ => value.to_owned(),
    }
}

/// A proxy and what belongs to it.
pub struct Side {
    pub tide: Tidegate,
    pub app: Origin,
    clients: Vec<Option<Client>>,
    admin: Client,
}

impl Side {
    /// Starts it with this in its environment, with room for so many connections; its clock stands at the beginning.
    pub async fn start(
        env: &[(&str, &str)],
        world: &Arc<Mutex<World>>,
        connections: usize,
    ) -> Side {
        let app = Origin::start("app").await;
        let world = world.clone();
        app.answers(move |seen| world.lock().unwrap().answers(seen));
        let tide = Tidegate::run_with_faults_and(env, yaml(&app.addr().to_string())).await;
        tide.stop_clock(BEGIN).await;
        let admin = Client::connect(tide.admin()).await.expect("the stats port");
        let clients = (0..connections).map(|_| None).collect();
        Side {
            tide,
            app,
            clients,
            admin,
        }
    }

    /// Sends these requests on one of its connections, all at once, and reads what is answered, until it is closed.
    pub async fn hears(&mut self, on: usize, batch: &[Made]) -> Vec<Result<Heard, String>> {
        let mut client = match self.clients[on].take() {
            Some(client) => client,
            None => self.tide.connect().await,
        };
        let mut bytes = Vec::new();
        for made in batch {
            bytes.extend(made.request.head_bytes());
            bytes.extend(made.request.body_bytes());
        }
        let mut heard = Vec::new();
        if let Err(why) = client.send_bytes(&bytes).await {
            return vec![Err(format!("nothing can be sent: {why}"))];
        }
        for made in batch {
            let answer = match client.answer(made.request.its_method()).await {
                Ok(answer) => answer,
                Err(why) => {
                    heard.push(Err(format!("no answer: {why}")));
                    return heard;
                }
            };
            let stays = answer.stays_open;
            heard.push(Ok(Heard::of(answer, !stays)));
            if !stays {
                let rest = client.until_closed(Duration::from_secs(12)).await;
                if rest.as_ref().map(Vec::len) != Ok(0) {
                    heard.push(Err(format!("behind the last answer: {rest:?}")));
                }
                return heard;
            }
        }
        self.clients[on] = Some(client);
        heard
    }

    /// The answer of the stats port, on a connection that is kept. Who asks it too often in a second comes again.
    async fn api(&mut self, request: Request) -> Answer {
        let host = self.tide.admin().to_string();
        let (admin, request) = (&mut self.admin, request.host(&host));
        eventually("the stats port", PATIENCE, async || {
            let answer = admin.ask(&request).await.map_err(|why| why.to_string())?;
            check(answer.status != 429, answer.text()).map(|()| answer)
        })
        .await
    }

    /// Purges what is named; what was said of it.
    pub async fn purges(&mut self, what: &Value) -> Value {
        let request = Request::post("/api/v1/purge", what.to_string());
        self.api(request.field("Content-Type", "application/json"))
            .await
            .json()
    }

    /// Waits until nothing is done behind the answers; what the store holds then, in words.
    pub async fn settles(&mut self) -> String {
        let host = self.tide.admin().to_string();
        let admin = &mut self.admin;
        let ask = Request::get("/api/v1/cache").host(&host);
        let seen = eventually("nothing is done behind the answers", PATIENCE, async || {
            let seen = admin.ask(&ask).await.map_err(|why| why.to_string())?.json();
            let idle = ["fills", "makings", "recompressing"].map(|name| seen[name].as_u64());
            check(idle == [Some(0); 3], &seen).map(|()| seen)
        })
        .await;
        let held = ["entries", "encoded", "not_storable", "evictions"];
        let held = held.map(|name| format!("{name} {}", seen[name]));
        format!("{}, {} fetches", held.join(", "), self.app.requests())
    }

    /// The samples of these metrics.
    pub async fn metrics(&mut self, names: &[&str]) -> BTreeMap<String, f64> {
        let text = self.api(Request::get("/metrics")).await.text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.filter_map(|line| line.rsplit_once(' '));
        samples
            .filter(|(series, _)| names.contains(&series.split('{').next().unwrap_or_default()))
            // How many bytes of what is compressed while it comes depends on how it comes.
            .filter(|(series, _)| {
                let is_coded = series.contains("\"zip\"") || series.contains("\"better\"");
                !(is_coded && series.contains("_bytes_"))
            })
            .map(|(series, value)| (series.to_owned(), value.parse().expect("a number")))
            .collect()
    }
}
