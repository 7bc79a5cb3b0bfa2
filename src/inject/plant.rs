//! Planting: what a scenario does to the records of a log.
//!
//! New records are made beforehand from the victim's own; existing ones are altered, dropped, repeated and multiplied as they are read.
//!
//! Not here: whom and when (`schedule`), the writing (`mod.rs`).

use rand::Rng;
use rand::seq::SliceRandom;
use rand_distr::{Distribution, LogNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::disguise::{Disguise, address_beside, address_in, fresh_credential};
use super::draft::{Draft, Walk};
use super::edit::Change;
use super::scenario::{
    Add, Caller, Changes, Client, Credential, Name, Network, Scenario, Scope, Selection, Spacing, Strength, Volume,
};
use super::survey::{DAY, EndpointFacts, HOUR, PairFacts, SECOND, Survey, Victim, is_selected};
use crate::calls::{Call, View};
use crate::ingest::CallReader;

/// Calls of a burst follow one another within so many microseconds.
const BURST_GAP: std::ops::Range<i64> = SECOND..8 * SECOND;
/// How much sizes of added calls vary, natural logarithm.
const SIZE_SPREAD: f64 = 0.35;
/// What an error answers, bytes.
const ERROR_BYTES: std::ops::Range<u64> = 120..420;
/// Records that one action may add: a mistyped rate must not fill the disk.
const MAX_ADDED: f64 = 200_000.0;

/// Where a scenario is planted: its victim, its time (microseconds since the epoch), and the identities that it brings along.
pub(super) struct Placement {
    pub victim: Victim,
    pub disguise: Disguise,
    pub start: i64,
    pub end: i64,
    pub rng: Xoshiro256PlusPlus,
}

/// A scenario at its placement.
pub(super) struct Planting {
    pub label: String,
    pub scenario: Scenario,
    pub strength: Strength,
    pub start: i64,
    pub end: i64,
    pub victim: Victim,
    /// What it has done so far.
    pub effect: Effect,
    disguise: Disguise,
    busiest: Option<String>,
    rng: Xoshiro256PlusPlus,
    walk: Walk,
    turn: usize,
}

/// What a planting has done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Effect {
    pub added: u64,
    pub altered: u64,
    pub dropped: u64,
    /// Times of the first and last call that it added, altered or dropped, microseconds since the epoch.
    pub span: Option<(i64, i64)>,
}

impl Effect {
    /// Extends the span to a call's time, unless that is after the label's end.
    fn touch(&mut self, time: i64, end: i64) {
        if time > end {
            return;
        }
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
    }
}

/// Actions of a planting that mean a call, by their place in the scenario.
#[derive(Debug, Default)]
pub(super) struct Meant {
    is_dropped: bool,
    alters: Vec<usize>,
    multiplies: Vec<usize>,
    is_repeated: bool,
}

impl Meant {
    /// Whether the record itself changes, and not only what follows it.
    pub fn alters_the_record(&self) -> bool {
        !self.alters.is_empty()
    }
}

impl Planting {
    pub fn new(label: String, scenario: &Scenario, strength: Strength, placement: Placement, survey: &Survey) -> Self {
        let Placement { victim, disguise, start, end, mut rng } = placement;
        let pair = survey.pair(&victim.caller, &victim.host);
        Self {
            label,
            scenario: scenario.clone(),
            strength,
            start,
            end,
            effect: Effect::default(),
            disguise,
            busiest: pair.and_then(PairFacts::busiest).map(str::to_owned),
            walk: Walk::new(&mut rng),
            victim,
            rng,
            turn: 0,
        }
    }

    /// Whom a true alert names.
    pub fn name(&self, name: Name) -> Option<String> {
        if !self.scenario.names.contains(&name) {
            return None;
        }
        let (victim, disguise) = (&self.victim, &self.disguise);
        let uses = |credential| self.scenario.changes().any(|with| with.credential == Some(credential));
        match name {
            Name::Caller if self.uses_new_caller() => Some(disguise.new_caller.clone()),
            Name::Caller => Some(victim.caller.clone()),
            Name::Host => self.host_of_step().or_else(|| disguise.host.clone()).or_else(|| Some(victim.host.clone())),
            Name::Credential if uses(Credential::Fresh) => Some(disguise.credential.clone()),
            Name::Credential => victim.credential.clone(),
        }
    }

    /// The host of the first audit operation that it adds.
    fn host_of_step(&self) -> Option<String> {
        let step = self.scenario.add.first()?.steps.first()?;
        let (service, _) = step.split_once(':').filter(|_| self.scenario.view == View::Audit)?;
        Some(format!("{service}.amazonaws.com"))
    }

    fn uses_new_caller(&self) -> bool {
        self.scenario.changes().any(|with| with.caller == Some(Caller::New))
    }

    /// Whether it may mean calls of that time.
    pub fn is_on(&self, time: i64) -> bool {
        self.start <= time && (time <= self.end || self.scenario.lasting)
    }

    /// The actions that mean the call, if any.
    pub fn means(&mut self, call: &Call<'_>, host: &str) -> Option<Meant> {
        let is_victim = match self.scenario.victim.scope {
            Scope::Pair => call.caller == self.victim.caller.as_str() && host == self.victim.host,
            Scope::Caller => call.caller == self.victim.caller.as_str(),
            Scope::Host => host == self.victim.host,
        };
        if !is_victim {
            return None;
        }
        let busiest = self.busiest.as_deref();
        let selected = |selection| is_selected(call, selection, busiest);
        let (strength, rng) = (self.strength, &mut self.rng);
        let mut happens = |share: Option<super::scenario::ByStrength>| {
            share.is_none_or(|share| rng.gen_bool(share.of(strength).clamp(0.0, 1.0)))
        };
        let scenario = &self.scenario;
        let is_dropped = scenario.drop.iter().any(|drop| selected(drop.calls) && happens(drop.share));
        let alters = scenario.alter.iter().enumerate();
        let alters = alters.filter(|(_, alter)| selected(alter.calls) && happens(alter.share)).map(|(at, _)| at);
        let alters: Vec<usize> = alters.collect();
        let multiplies = scenario.multiply.iter().enumerate();
        let multiplies: Vec<usize> =
            multiplies.filter(|(_, multiply)| selected(multiply.calls)).map(|(at, _)| at).collect();
        let is_repeated = !scenario.repeat.is_empty();
        (is_dropped || !alters.is_empty() || !multiplies.is_empty() || is_repeated).then_some(Meant {
            is_dropped,
            alters,
            multiplies,
            is_repeated,
        })
    }

    /// Applies the selected actions to a record. Returns the record, unless it is dropped, and those that follow it.
    pub fn act(&mut self, meant: &Meant, mut draft: Draft, survey: &Survey) -> (Option<Draft>, Vec<Draft>) {
        let time = draft.time;
        if meant.is_dropped {
            self.effect.touch(time, self.end);
            self.effect.dropped += 1;
            return (None, Vec::new());
        }
        let scenario = self.scenario.clone();
        for alter in meant.alters.iter().filter_map(|at| scenario.alter.get(*at)) {
            self.change(&mut draft, &alter.with, survey);
            self.effect.touch(time, self.end);
        }
        self.effect.altered += u64::from(meant.alters_the_record());
        let mut following = Vec::new();
        for multiply in meant.multiplies.iter().filter_map(|at| scenario.multiply.get(*at)) {
            let more = (multiply.times.of(self.strength) - 1.0).max(0.0);
            let copies = more.floor() + f64::from(u8::from(self.rng.gen_bool(more.fract())));
            for _ in 0..copies as u64 {
                let mut copy = draft.copy();
                let wait = self.within(multiply.seconds);
                self.follow(&mut copy, wait);
                self.change(&mut copy, &multiply.with, survey);
                following.push(copy);
            }
        }
        if meant.is_repeated && draft.has_failed {
            for repeat in &scenario.repeat {
                for again in 1..=repeat.times.of(self.strength) as i64 {
                    let mut copy = draft.copy();
                    let pause = (repeat.seconds * SECOND as f64) as i64;
                    let wait = again * pause + self.rng.gen_range(0..=pause.max(1));
                    self.follow(&mut copy, wait);
                    following.push(copy);
                }
            }
        }
        (Some(draft), following)
    }

    /// A pause of up to so many seconds, microseconds.
    fn within(&mut self, seconds: f64) -> i64 {
        self.rng.gen_range(1..=((seconds * SECOND as f64) as i64).max(1))
    }

    fn follow(&mut self, copy: &mut Draft, wait: i64) {
        copy.apply(Change::Time(copy.time + wait));
        copy.renew(&mut self.rng);
        self.effect.touch(copy.time, self.end);
        self.effect.added += 1;
    }

    /// The records that it adds, in no order.
    pub fn additions(&mut self, survey: &Survey, reader: &mut CallReader) -> Vec<(i64, String)> {
        let mut added = Vec::new();
        let scenario = self.scenario.clone();
        for add in &scenario.add {
            let Some(pair) = survey.pair(&self.victim.caller, &self.victim.host) else { continue };
            let (begin, end) = self.time_of(add, survey);
            let hours = (end - begin) as f64 / HOUR as f64;
            let usual_hours = ((survey.last - survey.first) as f64 / HOUR as f64).max(1.0);
            let strength = self.strength;
            let value = |by: super::scenario::ByStrength| by.of(strength);
            let count = match (add.calls, add.per_hour, add.times_usual) {
                (Some(calls), ..) => value(calls),
                (_, Some(rate), _) => value(rate) * hours,
                (.., usual) => usual.map_or(0.0, value) * pair.calls as f64 / usual_hours * hours,
            };
            let times = self.times(add, begin, end, count.round().clamp(1.0, MAX_ADDED) as usize);
            let per_call = |volume: Volume, bytes: u64| {
                let usual = bytes as f64 / usual_hours * hours * volume.times_usual.map_or(0.0, value);
                (value(volume.megabytes) * 1e6).max(usual) / times.len() as f64
            };
            let bytes_out = add.bytes_out.map(|volume| per_call(volume, pair.bytes_out));
            let bytes_in = add.bytes_in.map(|volume| per_call(volume, pair.bytes_in));
            for (at, time) in times.into_iter().enumerate() {
                let source = self.source(add, pair, survey);
                let Some(mut draft) = self.template(source, add.from, reader) else { continue };
                draft.apply(Change::Time(time));
                draft.renew(&mut self.rng);
                if let Some(step) = add.steps.get(at % add.steps.len().max(1)) {
                    draft.take_step(step, &mut self.walk, &mut self.rng);
                }
                self.change(&mut draft, &add.with, survey);
                if let Some(bytes) = bytes_out {
                    draft.apply(Change::BytesOut(self.vary(bytes)));
                }
                if let Some(bytes) = bytes_in {
                    draft.apply(Change::BytesIn(self.vary(bytes)));
                }
                self.effect.added += 1;
                if add.history_days.is_none() {
                    self.effect.touch(time, self.end);
                }
                added.push((time, draft.into_line()));
            }
        }
        added
    }

    /// Whose records the new ones are made from: for each principal in turn its own, with its identity.
    fn source<'a>(&mut self, add: &Add, own: &'a PairFacts, survey: &'a Survey) -> &'a PairFacts {
        if add.with.caller != Some(Caller::Each) {
            return own;
        }
        let of_view = survey.callers.values().filter(|facts| facts.view == self.scenario.view);
        let busiest = of_view.filter_map(|facts| facts.pairs.values().max_by_key(|pair| pair.calls));
        let with_templates = |pair: &&PairFacts| pair.endpoints.values().any(|endpoint| !endpoint.templates.is_empty());
        let sources: Vec<&PairFacts> = busiest.filter(with_templates).collect();
        self.turn += 1;
        sources.get(self.turn % sources.len().max(1)).copied().unwrap_or(own)
    }

    /// From when to when an action lasts.
    fn time_of(&self, add: &Add, survey: &Survey) -> (i64, i64) {
        if let Some(days) = add.history_days {
            return (survey.first, survey.first + (days * DAY as f64) as i64);
        }
        let length = (self.end - self.start) as f64;
        (self.start + (length * add.begins) as i64, self.start + (length * add.ends) as i64)
    }

    fn times(&mut self, add: &Add, begin: i64, end: i64, count: usize) -> Vec<i64> {
        let rng = &mut self.rng;
        match add.spacing {
            Spacing::Poisson => {
                let mut times: Vec<i64> = (0..count).map(|_| rng.gen_range(begin..end)).collect();
                times.sort_unstable();
                times
            }
            Spacing::Regular => {
                let interval = (end - begin) as f64 / count as f64;
                let waver = |rng: &mut Xoshiro256PlusPlus| (rng.r#gen::<f64>() - 0.5) * 2.0 * add.jitter * interval;
                (0..count)
                    .map(|at| begin + ((at as f64 + 0.5) * interval + waver(rng)) as i64)
                    .map(|time| time.clamp(begin, end))
                    .collect()
            }
            Spacing::Burst => {
                let mut time = begin;
                let mut times = Vec::with_capacity(count);
                for _ in 0..count {
                    time += rng.gen_range(BURST_GAP);
                    times.push(time.min(end));
                }
                times
            }
        }
    }

    /// One of the victim's own records, endpoints by how often they are called.
    fn template(&mut self, pair: &PairFacts, selection: Selection, reader: &mut CallReader) -> Option<Draft> {
        let known = |(_, endpoint): &(&String, &EndpointFacts)| !endpoint.templates.is_empty();
        let mut endpoints: Vec<&EndpointFacts> =
            pair.selected(selection).filter(known).map(|(_, facts)| facts).collect();
        if endpoints.is_empty() {
            endpoints = pair.endpoints.values().filter(|endpoint| !endpoint.templates.is_empty()).collect();
        }
        let endpoint = endpoints.choose_weighted(&mut self.rng, |endpoint| endpoint.calls as f64).ok()?;
        Draft::of(endpoint.templates.choose(&mut self.rng)?, reader)
    }

    fn vary(&mut self, bytes: f64) -> u64 {
        let factor =
            LogNormal::new(-SIZE_SPREAD * SIZE_SPREAD / 2.0, SIZE_SPREAD).map_or(1.0, |law| law.sample(&mut self.rng));
        (bytes * factor).round().max(1.0) as u64
    }

    /// Makes the changes to a record.
    fn change(&mut self, draft: &mut Draft, with: &Changes, survey: &Survey) {
        let strength = self.strength;
        if let (false, Some(host)) = (with.hosts.is_empty(), &self.disguise.host) {
            draft.apply(Change::Host(host));
        }
        if let Some(caller) = with.caller {
            self.change_caller(draft, caller, survey);
        }
        if let Some(scheme) = &with.scheme {
            draft.apply(Change::Scheme(scheme));
        }
        if let Some(path) = &with.path {
            draft.follow(path, &mut self.walk, &mut self.rng);
        }
        if let Some(amount) = with.bytes_out {
            draft.scale_bytes_out(amount, strength);
        }
        if let Some(amount) = with.bytes_in {
            draft.scale_bytes_in(amount, strength);
        }
        if let Some(amount) = with.latency {
            draft.scale_latency(amount, strength);
        }
        if let Some(times) = with.tokens.and_then(|amount| amount.times) {
            draft.apply(Change::Tokens(times.of(strength)));
        }
        if let Some(tls) = &with.tls {
            draft.apply(Change::Tls(tls));
        }
        match &with.client {
            Some(Client::Foreign) => draft.apply(Change::Client(&self.disguise.client)),
            Some(Client::Next) => {
                if let Some(client) = &self.disguise.next_client {
                    draft.apply(Change::Client(client));
                }
            }
            Some(Client::Literal(client)) => draft.apply(Change::Client(client)),
            None => {}
        }
        if let Some(network) = with.network {
            self.change_network(draft, network, survey);
        }
        if let Some(credential) = with.credential {
            self.change_credential(draft, credential, survey);
        }
        if let Some(region) = &with.region {
            draft.apply(Change::Region(region));
        }
        if let Some(parameters) = with.parameters.as_ref().and_then(|table| serde_json::to_value(table).ok()) {
            draft.apply(Change::Parameters(&parameters));
        }
        if let Some(failing) = &with.failing
            && self.rng.gen_bool(failing.share.of(strength).clamp(0.0, 1.0))
        {
            draft.apply(Change::Status(failing.status, failing.error.as_deref()));
            if with.bytes_in.is_none() {
                draft.apply(Change::BytesIn(self.rng.gen_range(ERROR_BYTES)));
            }
        }
    }

    fn change_caller(&mut self, draft: &mut Draft, caller: Caller, survey: &Survey) {
        match caller {
            Caller::New => draft.apply(Change::Caller(&self.disguise.new_caller)),
            Caller::Other => {
                let Some(other) = self.disguise.other.clone() else { return };
                self.act_as(draft, &other, survey);
            }
            // The record was made from one of its own.
            Caller::Each => {}
        }
    }

    /// Another caller of the log, with its address and client.
    fn act_as(&mut self, draft: &mut Draft, other: &str, survey: &Survey) {
        draft.apply(Change::Caller(other));
        let Some(facts) = survey.callers.get(other) else { return };
        let addresses: Vec<&String> = facts.addresses.keys().collect();
        if let Some(address) = addresses.choose(&mut self.rng) {
            draft.apply(Change::Address(address));
        }
        if let Some((client, _)) = facts.clients.iter().max_by_key(|(_, calls)| **calls) {
            draft.apply(Change::Client(client));
        }
    }

    fn change_network(&mut self, draft: &mut Draft, network: Network, survey: &Survey) {
        let address = match network {
            Network::Foreign => Some(address_in(&self.disguise.network, &mut self.rng)),
            Network::Many => {
                let network = format!(
                    "{}.{}.{}",
                    self.rng.gen_range(23..200),
                    self.rng.gen_range(0..256),
                    self.rng.gen_range(0..256)
                );
                Some(address_in(&network, &mut self.rng))
            }
            Network::Pods => address_beside(survey, &self.victim.caller, &mut self.rng),
        };
        if let Some(address) = address {
            draft.apply(Change::Address(&address));
        }
    }

    fn change_credential(&mut self, draft: &mut Draft, credential: Credential, survey: &Survey) {
        match credential {
            Credential::Fresh => draft.apply(Change::Credential(Some(&self.disguise.credential))),
            Credential::Each => {
                let fresh = fresh_credential(&self.disguise.credential, &mut self.rng);
                draft.apply(Change::Credential(Some(&fresh)));
            }
            Credential::None => draft.apply(Change::Credential(None)),
            Credential::Other => {
                let other = self
                    .disguise
                    .other
                    .as_deref()
                    .and_then(|other| survey.pair(other, &self.victim.host)?.credential());
                if let Some(other) = other {
                    draft.apply(Change::Credential(Some(other)));
                }
            }
        }
    }
}
