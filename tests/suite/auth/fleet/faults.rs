//! Runs with a fault at a random moment of a refresh, many at a time on one cluster, each with a record, machines and a
//! service of its own. Within the assumptions of the guarantee, no refresh token is sent twice and no login is lost.
//! `MY_TEST_FLEET_RUNS` is the number of runs, `MY_TEST_SEED` repeats them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::way::{Direction, Traffic, Way};
use super::{
    LIFETIME, PENDING, RAW, distinct, finish_all, login_for, machine, record, share, start_at,
};
use crate::support::bao_cluster::{BaoCluster, wait};
use crate::support::oidc::Oidc;
use crate::support::seed::{Seed, number};
use crate::support::{Home, Outcome, has_client};

/// Most of the time of a run is a delay of the protocol.
const AT_ONCE: usize = 12;

/// Before a lease is this old, no other machine takes it.
const TAKEOVER: Duration = Duration::from_secs(118);

const TIMEOUT: Duration = Duration::from_secs(400);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    LeaderKilled,
    HolderKilledAfterTheAnswer,
    HolderKilledBeforeTheAnswer,
    HolderCutOff,
    ClockOneHourOff,
}

const FAULTS: [Fault; 5] = [
    Fault::LeaderKilled,
    Fault::HolderKilledAfterTheAnswer,
    Fault::HolderKilledBeforeTheAnswer,
    Fault::HolderCutOff,
    Fault::ClockOneHourOff,
];

/// A machine, and its ways to the servers and to the service.
pub(super) struct Machine {
    pub(super) home: Home,
    pub(super) nodes: Vec<Way>,
    pub(super) service: Way,
    /// How wrong its clock is.
    offset: Option<&'static str>,
}

impl Machine {
    pub(super) fn start(&self) -> Child {
        match self.offset {
            Some(offset) => start_at(&self.home, offset),
            None => self.home.start(&RAW),
        }
    }
}

/// The cluster, which every run uses. Whoever kills a server has it alone.
pub(super) struct Cluster(pub(super) RwLock<BaoCluster>);

impl Cluster {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, BaoCluster> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BaoCluster> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Run<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) oidc: Oidc,
    pub(super) path: String,
    pub(super) machines: Vec<Machine>,
    seed: Seed,
    /// The shared access token at the beginning, and whether it has expired.
    pub(super) old: String,
    is_expired: bool,
    began: Instant,
}

impl<'a> Run<'a> {
    /// The shared access token was issued `age` seconds ago, for `lifetime` seconds.
    pub(super) fn start(
        cluster: &'a Cluster,
        folder: &str,
        seed: Seed,
        is_direct: bool,
        (age, lifetime): (u64, u64),
    ) -> Self {
        let oidc = Oidc::start().expect("it was there before");
        let path = format!("secret/data/{folder}/refresh/acme/default");
        let bao = cluster.read();
        let (old, fields) = login_for(&oidc, age, lifetime);
        share(&bao, &path, &fields);
        let urls = bao.urls();
        let mut order = bao.standbys();
        order.extend(bao.leader());
        let machines = (0..3).map(|at| {
            let service = Way::start(&oidc.url);
            order.rotate_left(at % 2);
            let mut urls: Vec<_> = order.iter().map(|at| urls[*at].clone()).collect();
            let nodes: Vec<_> =
                urls.iter().filter(|_| !is_direct).map(|url| Way::start(url)).collect();
            if !is_direct {
                urls = nodes.iter().map(|way| way.url.clone()).collect();
            }
            let provider = format!("token_endpoint = \"{}/token\"", service.url);
            let vault = format!("addresses = {urls:?}\npath = \"{folder}\"");
            let home = machine(&oidc, &bao.root, &provider, &vault);
            Machine { home, nodes, service, offset: None }
        });
        let machines = machines.collect();
        drop(bao);
        oidc.clear_journal();
        let (is_expired, began) = (age > lifetime, Instant::now());
        Self { cluster, oidc, path, machines, seed, old, is_expired, began }
    }

    fn sleep_below(&mut self, milliseconds: usize) {
        let delay = self.seed.below(milliseconds);
        std::thread::sleep(Duration::from_millis(delay.try_into().unwrap()));
    }

    /// Starts one or two processes of each machine, in a random order of the machines.
    fn start_all(&mut self) -> Vec<Vec<Child>> {
        let mut children: Vec<_> = self.machines.iter().map(|_| Vec::new()).collect();
        let first = self.seed.below(self.machines.len());
        for at in 0..self.machines.len() {
            let at = (first + at) % self.machines.len();
            for _ in 0..=self.seed.below(2) {
                children[at].push(self.machines[at].start());
            }
            self.sleep_below(200);
        }
        children
    }

    /// The processes return the old token while it lives, the new one, or that there is none at the moment.
    fn check(&self, outcomes: &[Outcome]) -> Vec<String> {
        for outcome in outcomes {
            assert!([0, 3].contains(&outcome.status), "{outcome:?}");
        }
        let served = outcomes.iter().filter(|outcome| outcome.status == 0);
        let mut tokens = distinct(served.map(|outcome| outcome.output.trim_end().to_owned()));
        if !self.is_expired {
            tokens.retain(|token| *token != self.old);
        }
        assert!(tokens.len() < 2 && !tokens.contains(&self.old), "{tokens:?}: {outcomes:?}");
        tokens
    }

    /// The leader is killed while the service has the request, or at a random moment.
    fn kill_leader(&mut self) {
        let cluster = self.cluster;
        let mut bao = cluster.write();
        let is_held = self.seed.below(3) > 0;
        if is_held {
            self.oidc.hold();
        }
        let children = self.start_all();
        if is_held {
            wait("the service has the request", || self.oidc.count("token request") == 1);
        }
        self.sleep_below(500);
        let leader = bao.leader().expect("a leader");
        bao.nodes[leader].kill();
        self.sleep_below(3000);
        self.oidc.release();
        self.check(&finish_all(children.into_iter().flatten().collect()));
        if self.seed.below(2) == 0 {
            self.converge();
        }
        bao.restart(leader);
        bao.wait_for_all();
    }

    /// Starts all, and returns the machine whose request to the service is held on its way.
    pub(super) fn hold(&mut self) -> (Vec<Vec<Child>>, usize) {
        for machine in &self.machines {
            machine.service.set(Direction::Request, Traffic::Held);
        }
        let mut children = self.start_all();
        let holder = loop {
            std::thread::sleep(Duration::from_millis(20));
            let holder = self.machines.iter().position(|it| it.service.requests() > 0);
            if let Some(holder) = holder {
                break holder;
            }
            let has_ended = |child: &mut Child| child.try_wait().expect("it is ours").is_some();
            if children.iter_mut().flatten().all(has_ended) {
                // Without a leader, since another run has killed it.
                self.finish(children);
                children = self.start_all();
            }
            assert!(self.began.elapsed() < TIMEOUT, "no machine sends the request");
        };
        for (at, machine) in self.machines.iter().enumerate() {
            if at != holder {
                machine.service.open();
            }
        }
        (children, holder)
    }

    pub(super) fn kill(children: &mut [Vec<Child>], holder: usize) {
        for mut child in children[holder].drain(..) {
            child.kill().expect("it is ours");
            child.wait().expect("it is ours");
        }
    }

    pub(super) fn finish(&self, children: Vec<Vec<Child>>) {
        self.check(&finish_all(children.into_iter().flatten().collect()));
    }

    /// The request never reaches the service: another machine takes the lease over.
    fn kill_before_the_answer(&mut self) {
        let (mut children, holder) = self.hold();
        self.sleep_below(2000);
        Self::kill(&mut children, holder);
        self.machines[holder].service.lose_held();
        self.machines[holder].service.open();
        self.finish(children);
        self.converge();
        self.taken_over();
    }

    fn taken_over(&self) {
        assert!(self.began.elapsed() > TAKEOVER, "{:?}", self.began.elapsed());
    }

    /// The result is on the disk of the holder, and its write has not arrived, or its response has not.
    fn kill_after_the_answer(&mut self) {
        // No other run kills a server until the store has the result: both faults together may last until a takeover.
        let cluster = self.cluster;
        let bao = cluster.read();
        let (children, holder) = self.kill_with_a_result();
        self.sleep_below(30_000);
        self.save(holder);
        drop(bao);
        self.finish(children);
        self.converge();
    }

    fn kill_with_a_result(&mut self) -> (Vec<Vec<Child>>, usize) {
        let (mut children, holder) = self.hold();
        let lost = if self.seed.below(2) == 0 { Direction::Request } else { Direction::Response };
        let machine = &self.machines[holder];
        for way in &machine.nodes {
            way.set(lost, Traffic::Lost);
        }
        machine.service.open();
        wait("the result is on the machine", || {
            machine.home.read(PENDING).is_some_and(|text| text.contains("access_token"))
        });
        self.sleep_below(1500);
        Self::kill(&mut children, holder);
        for way in &self.machines[holder].nodes {
            way.open();
        }
        (children, holder)
    }

    /// The leader is killed, too, while the store lacks the result.
    fn kill_the_leader_after_the_answer(&mut self) {
        let cluster = self.cluster;
        let (children, holder) = self.kill_with_a_result();
        let leader = {
            let mut bao = cluster.write();
            let leader = bao.leader().expect("a leader");
            bao.nodes[leader].kill();
            leader
        };
        self.sleep_below(30_000);
        self.save(holder);
        let took = self.began.elapsed();
        assert!(took < TAKEOVER, "no server for {took:?}: outside of the guarantee");
        let mut bao = cluster.write();
        bao.restart(leader);
        bao.wait_for_all();
        drop(bao);
        self.finish(children);
        self.converge();
    }

    /// The machine calls again, until the store has its result. A standby that lags behind leaves it on the machine.
    fn save(&self, at: usize) {
        let start = Instant::now();
        while self.machines[at].home.path().join(PENDING).exists() {
            self.check(&finish_all(vec![self.machines[at].start()]));
            assert!(start.elapsed() < TIMEOUT, "the result is still on the machine");
        }
    }

    /// A holder that lives, and reaches no server, or not the service, or neither.
    fn cut_off(&mut self) {
        let (children, holder) = self.hold();
        let variant = self.seed.below(3);
        let machine = &self.machines[holder];
        if variant != 1 {
            machine.nodes.iter().for_each(Way::cut);
        }
        if variant == 0 {
            machine.service.open();
        } else {
            machine.service.lose_held();
            machine.service.cut();
        }
        let seconds = 1 + self.seed.below(40);
        std::thread::sleep(Duration::from_secs(seconds.try_into().unwrap()));
        let machine = &self.machines[holder];
        machine.nodes.iter().for_each(Way::open);
        machine.service.open();
        self.finish(children);
        self.converge();
        if variant != 0 {
            self.taken_over();
        }
    }

    fn wrong_clock(&mut self) {
        let offset = ["+3600s", "-3600s"][self.seed.below(2)];
        let at = self.seed.below(self.machines.len());
        self.machines[at].offset = Some(offset);
        match self.seed.below(3) {
            0 => {
                let children = self.start_all();
                self.finish(children);
            }
            1 => self.kill_before_the_answer(),
            _ => self.kill_after_the_answer(),
        }
    }

    /// Every machine asks again and again, until all have the new token.
    fn converge(&self) -> String {
        let start = Instant::now();
        loop {
            let outcomes = finish_all(self.machines.iter().map(Machine::start).collect());
            let tokens = self.check(&outcomes);
            let have = outcomes.iter().filter(|it| tokens.iter().any(|t| it.output.contains(t)));
            if have.count() == self.machines.len() {
                return tokens[0].clone();
            }
            assert!(start.elapsed() < TIMEOUT, "{outcomes:?}");
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// The service has received one refresh token, once, and the login is the one in the record.
    fn is_sound(&self) {
        let token = self.converge();
        let counts = (self.oidc.count("token request"), self.oidc.count("grant.revoked"));
        assert_eq!(counts, (1, 0), "token requests, revoked logins");
        assert!(self.oidc.is_active(&token));
        let record = record(&self.cluster.read(), &self.path);
        assert_eq!(
            (&record["access_token"], &record["lease_nonce"]),
            (&token.into(), &Value::Null)
        );
        (0..self.machines.len()).for_each(|at| self.save(at));
        let refresh_token = record["refresh_token"].as_str().expect("a refresh token");
        assert_eq!(self.oidc.redeem(refresh_token), 200, "the login can be refreshed");
    }
}

fn run(cluster: &Cluster, begin: u64, number: u64) -> (Fault, Duration) {
    let fault = FAULTS[usize::try_from(number).unwrap() % FAULTS.len()];
    let mut seed = Seed::new(begin.wrapping_add(number));
    let age = if seed.below(3) == 0 { LIFETIME - 100 } else { LIFETIME + 60 };
    // A server that was killed refuses connections itself.
    let is_direct = fault == Fault::LeaderKilled;
    let folder = format!("run-{number}");
    let mut run = Run::start(cluster, &folder, seed, is_direct, (age, LIFETIME));
    match fault {
        Fault::LeaderKilled => run.kill_leader(),
        Fault::HolderKilledAfterTheAnswer => run.kill_after_the_answer(),
        Fault::HolderKilledBeforeTheAnswer => run.kill_before_the_answer(),
        Fault::HolderCutOff => run.cut_off(),
        Fault::ClockOneHourOff => run.wrong_clock(),
    }
    run.is_sound();
    (fault, run.began.elapsed())
}

fn runs(standby_reads: bool, count: u64) {
    if !has_client("faketime") || Oidc::start().is_none() {
        return;
    }
    let Some(bao) = BaoCluster::start(3, standby_reads) else { return };
    let (cluster, begin) = (Cluster(RwLock::new(bao)), Seed::from_environment().number);
    let (next, start) = (AtomicU64::new(0), Instant::now());
    let (sound, failed) = (Mutex::new(BTreeMap::<_, Vec<_>>::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| run(&cluster, begin, number))) {
                        Ok((fault, took)) => {
                            sound.lock().unwrap().entry(fault).or_default().push(took);
                            println!("run {number}: {fault:?}, {took:?}");
                        }
                        Err(_) => failed.lock().unwrap().push(number),
                    }
                }
            });
        }
    });
    println!("standby reads {standby_reads}: {count} runs in {:?}", start.elapsed());
    for (fault, times) in sound.into_inner().unwrap() {
        println!("{fault:?}: {} runs, at most {:?}", times.len(), times.iter().max().unwrap());
    }
    assert_eq!(failed.into_inner().unwrap(), Vec::<u64>::new(), "seed {begin}");
}

#[test]
fn random_faults_lose_no_login() {
    runs(true, number("MY_TEST_FLEET_RUNS", 2));
}

#[test]
fn random_faults_lose_no_login_without_standby_reads() {
    runs(false, number("MY_TEST_FLEET_RUNS", 10) / 10);
}

#[test]
fn a_result_outlives_its_holder_and_the_leader() {
    if Oidc::start().is_none() {
        return;
    }
    let Some(bao) = BaoCluster::start(3, true) else { return };
    let (cluster, begin) = (Cluster(RwLock::new(bao)), Seed::from_environment().number);
    for number in 0..number("MY_TEST_FLEET_RUNS", 20) / 20 {
        let (folder, seed) = (format!("run-{number}"), Seed::new(begin.wrapping_add(number)));
        let age = (LIFETIME + 60, LIFETIME);
        let mut run = Run::start(&cluster, &folder, seed, false, age);
        run.kill_the_leader_after_the_answer();
        run.is_sound();
        println!("run {number}: {:?}", run.began.elapsed());
    }
}
