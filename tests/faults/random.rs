//! Any of these faults, in any order, from a seed.
//!
//! `ROADLAKE_FAULT_SEED` and `ROADLAKE_FAULT_STEPS` say which and how many; the seed of a run is
//! printed first. A seed fixes what is done to whom and in which order; when is the machine's part.

use std::time::Duration;

use service::{Tasks, clock::SystemClock};

use crate::{
    content::{Content, content},
    fault_proxy::{FaultProxy, Link},
    fleet::{Draw, Fleet},
    listener::Client,
    mosquitto::Mosquitto,
    programs::Program,
};

const STEPS: u64 = 20;
/// Steps on one lake; then it is compared, and the next begins.
const STEPS_OF_A_ROUND: u64 = 20;
const INSTANCES_MAX: u64 = 3;
const PAUSE_MAX_MS: u64 = 1200;
const BAD_LINK_MAX_MS: u64 = 900;
const COPIES: usize = 60;

/// What can happen.
#[derive(Debug, Clone, Copy)]
enum Fault {
    KillIngest,
    KillAgent,
    KillBroker,
    VehiclesLink(Link),
    IngestLink(Link),
    Copies,
    /// Another number of instances, while those before still run.
    Instances(u32),
    /// The instance that runs is started a second time.
    SecondStart,
}

fn draw_fault(draw: &mut Draw) -> Fault {
    let link = |draw: &mut Draw| match draw.below(5) {
        0 => Link::Refuse,
        1 => Link::Stall,
        2 => Link::Slow(500 + 500 * draw.below(20) as u32),
        3 => Link::Lose,
        _ => Link::Pass,
    };
    match draw.below(10) {
        0 | 1 => Fault::KillIngest,
        2 | 3 => Fault::KillAgent,
        4 => Fault::KillBroker,
        5 => Fault::VehiclesLink(link(draw)),
        6 => Fault::IngestLink(link(draw)),
        7 => Fault::Copies,
        8 => Fault::Instances(1 + draw.below(INSTANCES_MAX) as u32),
        _ => Fault::SecondStart,
    }
}

/// Everything that a fault can hit.
struct World<'a> {
    fleet: &'a Fleet,
    data: tempfile::TempDir,
    broker: Mosquitto,
    vehicles_link: FaultProxy,
    ingest_link: FaultProxy,
    agents: Vec<Program>,
    ingests: Vec<Program>,
    /// Those whose shards were taken.
    taken: Vec<Program>,
    listener: Client,
    tasks: Tasks,
}

impl<'a> World<'a> {
    /// Agents slow enough that there is something to send until the last step.
    async fn start(fleet: &'a Fleet, steps: u64) -> Self {
        let data = tempfile::tempdir().unwrap();
        let broker = Mosquitto::start();
        let (vehicles_link, ingest_link) =
            (FaultProxy::start(broker.address()), FaultProxy::start(broker.address()));
        let tasks = Tasks::new();
        let listener = Client::connect(broker.address(), &tasks).await;
        let ingests = vec![Program::ingest(data.path(), ingest_link.address(), (0, 1)).claimed().await];
        let speed = (700 / steps.max(1)).max(1).to_string();
        let agents = fleet.vehicles.iter();
        let agents =
            agents.map(|id| fleet.process(id, data.path(), vehicles_link.address(), &speed)).collect();
        let taken = Vec::new();
        Self { fleet, data, broker, vehicles_link, ingest_link, agents, ingests, taken, listener, tasks }
    }

    /// Started, and owner of its shards: of two starts under way the later need not be the owner.
    async fn ingest(&self, instance: usize, instances: usize) -> Program {
        let share = (instance as u32, instances as u32);
        Program::ingest(self.data.path(), self.ingest_link.address(), share).claimed().await
    }

    async fn strike(&mut self, fault: Fault, draw: &mut Draw) {
        match fault {
            Fault::KillIngest => {
                let i = draw.index(self.ingests.len());
                self.ingests[i].kill();
                tokio::time::sleep(draw.pause(PAUSE_MAX_MS)).await;
                self.ingests[i] = self.ingest(i, self.ingests.len()).await;
            }
            Fault::KillAgent => {
                let i = draw.index(self.agents.len());
                self.agents[i].kill();
                let speed = ["flat", "100"][draw.index(2)];
                let broker = self.vehicles_link.address();
                self.agents[i] = self.fleet.process(&self.fleet.vehicles[i], self.data.path(), broker, speed);
            }
            Fault::KillBroker => {
                self.broker.kill();
                tokio::time::sleep(draw.pause(BAD_LINK_MAX_MS)).await;
                self.broker.start_again();
            }
            Fault::VehiclesLink(link) => strike_link(&self.vehicles_link, link, draw).await,
            Fault::IngestLink(link) => strike_link(&self.ingest_link, link, draw).await,
            Fault::Copies => self.listener.publish_copies(COPIES, draw),
            Fault::Instances(count) => {
                let count = count as usize;
                let mut new = Vec::new();
                for i in 0..count {
                    new.push(self.ingest(i, count).await);
                }
                self.taken.extend(std::mem::replace(&mut self.ingests, new));
            }
            Fault::SecondStart => {
                let i = draw.index(self.ingests.len());
                let second = self.ingest(i, self.ingests.len()).await;
                self.taken.push(std::mem::replace(&mut self.ingests[i], second));
            }
        }
    }

    /// Everything works again, and everything ends well: what the lake holds.
    async fn end(mut self) -> Content {
        for agent in &mut self.agents {
            let (code, said) = agent.ended().await;
            assert_eq!(code, Some(0), "{said}");
        }
        for ingest in &mut self.ingests {
            ingest.assert_running();
        }
        for taken in &mut self.taken {
            // One that had nothing to commit since does not know yet.
            if !taken.is_running() {
                let (code, said) = taken.ended().await;
                assert_eq!(code, Some(75), "{said}");
            }
        }
        self.taken.clear();
        self.ingests.clear();
        self.tasks.stop(Duration::from_secs(10)).await.unwrap();
        content(&self.data.path().join("lake")).await
    }
}

/// `Link::Pass` stands for a cut alone.
async fn strike_link(proxy: &FaultProxy, link: Link, draw: &mut Draw) {
    proxy.set(link);
    if matches!(link, Link::Pass | Link::Refuse) {
        proxy.cut();
    }
    tokio::time::sleep(draw.pause(BAD_LINK_MAX_MS)).await;
    proxy.set(Link::Pass);
}

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, which is no number")))
}

#[tokio::test(flavor = "multi_thread")]
async fn any_faults_in_any_order_lose_and_double_nothing() {
    let any = SystemClock::shared().now_us().unsigned_abs() % 1_000_000;
    let seed = number_of("ROADLAKE_FAULT_SEED").unwrap_or(any);
    let steps = number_of("ROADLAKE_FAULT_STEPS").unwrap_or(STEPS);
    println!("ROADLAKE_FAULT_SEED={seed} ROADLAKE_FAULT_STEPS={steps}");
    let fleet = Fleet::new();
    let expected = fleet.undisturbed().await;
    let mut draw = Draw::new(seed);
    let mut done = 0;
    while done < steps {
        let in_round = STEPS_OF_A_ROUND.min(steps - done);
        let mut world = World::start(&fleet, in_round).await;
        for step in done + 1..=done + in_round {
            tokio::time::sleep(draw.pause(PAUSE_MAX_MS)).await;
            let fault = draw_fault(&mut draw);
            println!("step {step}: {fault:?}");
            world.strike(fault, &mut draw).await;
        }
        done += in_round;
        assert_eq!(&world.end().await, expected, "seed {seed}, by step {done}");
    }
}
