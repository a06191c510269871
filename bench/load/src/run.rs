//! One run: connect, probe, warm up, measure, drain, judge.

use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::options::{Options, Protocol};
use crate::processes::{Usage, Watched};
use crate::protocols::mqtt::Mqtt;
use crate::protocols::nats::{self, Nats};
use crate::protocols::wavemq::{StreamPublisher, Subscriber, UnaryPublisher};
use crate::publisher::{Limits, Publisher};
use crate::session::{Failure, Session, Subscription};
use crate::tally::Tally;

const READY_WITHIN: Duration = Duration::from_secs(300);
const PROBES_WITHIN: Duration = Duration::from_secs(60);
/// What is not delivered within this time after the last publish is given up, also while some still comes.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);
const PROBE_EVERY: Duration = Duration::from_millis(200);
const TURN: Duration = Duration::from_millis(50);
/// Subscriptions that one connection may hold at a WAVEMQ router are 16,384.
const FILTERS_OF_ONE_CONNECTION: usize = 10_000;

/// What was found; rates are of the measured time.
pub struct Outcome {
    pub tally: Tally,
    pub seconds: f64,
    pub answered_count: u64,
    pub delivered_count: u64,
    /// From the beginning of the measured time until the last message was delivered.
    pub drained_seconds: f64,
    /// Messages sent from the beginning of the measured time.
    pub published_count: u64,
    pub usages: Vec<(Watched, Usage)>,
    pub generator: Usage,
}

pub fn run(options: &Options) -> Result<Outcome, Failure> {
    let subscriptions = subscriptions(options);
    let is_nats = options.protocol == Protocol::Nats;
    let root = format!("load/{}", options.run);
    if is_nats {
        nats::prepare(
            &options.subscribe_to[0],
            &options.run,
            &format!("{root}/*"),
            &subscriptions,
            options.is_acknowledging,
        )?;
    }
    let mut engine = connect(options, subscriptions)?;
    probe(&mut engine)?;
    engine.start_rates();
    publish_for(&mut engine, options.warmup, None)?;
    let outcome = measure(engine, options)?;
    if is_nats {
        nats::clear(&options.subscribe_to[0], &options.run)?;
    }
    Ok(outcome)
}

fn subscriptions(options: &Options) -> Vec<Subscription> {
    (0..options.subscriber_count)
        .map(|subscriber| Subscription {
            subscriber,
            filter: format!("load/{}/*", options.run),
            name: format!("{}-s{subscriber}", options.run),
        })
        .collect()
}

fn connect(options: &Options, subscriptions: Vec<Subscription>) -> Result<Engine, Failure> {
    let tally = Tally::new(
        options.lane_count(),
        options.subscriber_count,
        options.publisher_count,
    );
    let mut engine = Engine::new(tally)?;
    let filters: Vec<Subscription> = (0..options.filter_count)
        .map(|index| Subscription {
            subscriber: 0,
            filter: format!("unused/{}/{}/{}", options.run, index % 100, index / 100),
            name: format!("{}-f{index}", options.run),
        })
        .collect();
    let held = filters.chunks(FILTERS_OF_ONE_CONNECTION).enumerate();
    for (index, chunk) in held {
        let address = turn_of(&options.subscribe_to, index);
        let name = format!("{}-filters{index}", options.run);
        engine.connect(
            address,
            subscriber(options, address, &name, chunk.to_vec()),
            None,
        )?;
    }
    // At an MQTT broker each subscriber is a connection of its own.
    let connection_count = match options.protocol {
        Protocol::Mqtt => options.subscriber_count,
        _ => options
            .subscriber_connection_count
            .min(options.subscriber_count),
    };
    let chunk_length = subscriptions.len().div_ceil(connection_count);
    for (index, chunk) in subscriptions.chunks(chunk_length).enumerate() {
        let address = turn_of(&options.subscribe_to, index);
        let name = format!("{}-subscriber{index}", options.run);
        engine.connect(
            address,
            subscriber(options, address, &name, chunk.to_vec()),
            None,
        )?;
    }
    engine.turn_until(
        "subscriptions in effect",
        READY_WITHIN,
        Engine::are_all_ready,
    )?;
    let interval_ns = options
        .rate
        .map(|rate| (1e9 / rate * options.publisher_count as f64) as u64);
    let limits = Limits {
        in_flight_max: options.in_flight_max,
        backlog_max: options.backlog_max,
        interval_ns,
    };
    for index in 0..options.publisher_count {
        let address = turn_of(&options.publish_to, index);
        let publisher = Publisher::new(index, options.topic_count, options.payload_bytes, limits);
        engine.connect(
            address,
            publishing(options, address, index),
            Some(publisher),
        )?;
    }
    engine.turn_until("publishers ready", READY_WITHIN, Engine::are_all_ready)?;
    Ok(engine)
}

fn turn_of(addresses: &[String], index: usize) -> &str {
    &addresses[index % addresses.len()]
}

fn subscriber(
    options: &Options,
    address: &str,
    name: &str,
    subscriptions: Vec<Subscription>,
) -> Box<dyn Session> {
    match options.protocol {
        Protocol::WavemqUnary | Protocol::WavemqStream => Box::new(Subscriber::new(
            address,
            &options.caller,
            subscriptions,
            options.is_acknowledging,
        )),
        Protocol::Nats => Box::new(Nats::subscriber(subscriptions, options.is_acknowledging)),
        Protocol::Mqtt => Box::new(Mqtt::subscriber(name, subscriptions)),
    }
}

fn publishing(options: &Options, address: &str, index: usize) -> Box<dyn Session> {
    let topics: Vec<String> = (0..options.topic_count)
        .map(|topic| format!("load/{}/p{index}/t{topic}", options.run))
        .collect();
    let name = format!("{}-publisher{index}", options.run);
    let caller = &options.caller;
    match options.protocol {
        Protocol::WavemqUnary => Box::new(UnaryPublisher::new(
            address,
            caller,
            &topics,
            &options.publish,
        )),
        Protocol::WavemqStream => Box::new(StreamPublisher::new(
            address,
            caller,
            &topics,
            &options.publish,
        )),
        Protocol::Nats => Box::new(Nats::publisher(&name, &topics)),
        Protocol::Mqtt => Box::new(Mqtt::publisher(
            &name,
            &topics,
            options.publish.is_persisted,
        )),
    }
}

/// Publishes probes until every subscriber has seen one of every publisher.
fn probe(engine: &mut Engine) -> Result<(), Failure> {
    let end = Instant::now() + PROBES_WITHIN;
    while !engine.tally.are_probes_seen() {
        if Instant::now() > end {
            let limit_s = PROBES_WITHIN.as_secs();
            return Err(format!("probes did not reach every subscriber within {limit_s} s").into());
        }
        engine.probe()?;
        let next = Instant::now() + PROBE_EVERY;
        while Instant::now() < next && !engine.tally.are_probes_seen() {
            engine.turn(TURN)?;
        }
    }
    engine.turn_until("probes answered", PROBES_WITHIN, Engine::is_all_answered)
}

/// Publishes for this time, or until so many messages were sent in all.
fn publish_for(
    engine: &mut Engine,
    time: Duration,
    sent_count_max: Option<u64>,
) -> Result<(), Failure> {
    let end = Instant::now() + time;
    while Instant::now() < end && sent_count_max.map_or(true, |max| engine.tally.sent_count < max) {
        engine.publish()?;
        let left = end.saturating_duration_since(Instant::now());
        let limit = engine.idle(TURN.min(left));
        engine.turn(limit)?;
    }
    Ok(())
}

fn usages(options: &Options) -> Result<Vec<Usage>, Failure> {
    let found: Result<Vec<Usage>, String> = options.watched.iter().map(Watched::usage).collect();
    Ok(found?)
}

fn measure(mut engine: Engine, options: &Options) -> Result<Outcome, Failure> {
    let before = usages(options)?;
    let generator_before = Watched::this().usage()?;
    let started = Instant::now();
    engine.tally.measured_from_ns = engine.tally.now_ns();
    let sent = engine.tally.sent_count;
    let answered = engine.tally.answered_count;
    let delivered = engine.tally.delivered_count;
    let sent_count_max = options.messages_max.map(|count| sent + count);
    publish_for(&mut engine, options.duration, sent_count_max)?;
    let seconds = started.elapsed().as_secs_f64();
    let published_count = engine.tally.sent_count - sent;
    let answered_count = engine.tally.answered_count - answered;
    let delivered_count = engine.tally.delivered_count - delivered;
    let drained_seconds = drain(&mut engine, started, options.drain)?;
    let after = usages(options)?;
    let used = |before: &Usage, after: Usage| Usage {
        cpu_s: after.cpu_s - before.cpu_s,
        ..after
    };
    let generator = used(&generator_before, Watched::this().usage()?);
    let usages = options
        .watched
        .iter()
        .cloned()
        .zip(
            before
                .iter()
                .zip(after)
                .map(|(before, after)| used(before, after)),
        )
        .collect();
    Ok(Outcome {
        seconds,
        answered_count,
        delivered_count,
        drained_seconds,
        published_count,
        usages,
        generator,
        tally: engine.tally,
    })
}

/// Waits for answers and deliveries until all are there, or none came for a while.
fn drain(engine: &mut Engine, started: Instant, patience: Duration) -> Result<f64, Failure> {
    let mut seen = (0, 0);
    let begun = Instant::now();
    let mut last = begun;
    while !(engine.is_all_answered() && engine.tally.is_all_delivered())
        && last.elapsed() < patience
        && begun.elapsed() < DRAIN_WITHIN
    {
        engine.turn(TURN)?;
        let now = (engine.tally.answered_count, engine.tally.delivered_count);
        if now != seen {
            (seen, last) = (now, Instant::now());
        }
    }
    Ok(last.duration_since(started).as_secs_f64())
}
