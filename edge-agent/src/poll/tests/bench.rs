//! A vehicle’s bus in process, with control units, a poller and other traffic.

use super::*;

pub(super) fn settings() -> PollSettings {
    let pids = |pids: &[u8], ms| {
        let period = Duration::from_millis(ms);
        pids.iter().map(|pid| PidPoll { pid: *pid, period }).collect::<Vec<_>>()
    };
    PollSettings {
        interface: Arc::from("vbus0"),
        bitrate: 500_000,
        bus_share_max: 0.02,
        addressing: Addressing::Standard,
        quiet_after: Duration::from_secs(5),
        tester_pause: Duration::from_secs(10),
        pids: [pids(&[0x0C, 0x0D], 200), pids(&[0x05, 0x5C], 5000)].concat(),
        obd_faults_every: Some(Duration::from_secs(20)),
        ecus: Vec::new(),
        dids: Vec::new(),
        j1939: None,
    }
}

/// A vehicle's bus in process: a poller, control units, and another node that makes traffic.
pub(super) struct Bench {
    pub(super) bus: VirtualBus,
    pub(super) node: VirtualEndpoint,
    pub(super) writer: VirtualWriter,
    pub(super) others: VirtualWriter,
    pub(super) poller: Poller,
    pub(super) ecus: Vec<(SimulatedEcu, VirtualEndpoint, VirtualWriter)>,
    pub(super) now: i64,
    pub(super) has_traffic: bool,
    pub(super) sent: Vec<Frame>,
    pub(super) answers: Vec<Frame>,
    pub(super) reports: Vec<FaultReport>,
}

impl Bench {
    pub(super) fn new(settings: PollSettings, flaws: VirtualBusSettings, ecus: Vec<SimulatedEcu>) -> Self {
        let bus = VirtualBus::new(flaws, Timestamp(0));
        let node = bus.endpoint();
        let ecus = ecus.into_iter().map(|ecu| {
            let endpoint = bus.endpoint();
            let writer = endpoint.writer();
            (ecu, endpoint, writer)
        });
        Self {
            writer: node.writer(),
            others: bus.endpoint().writer(),
            poller: Poller::new(settings).unwrap(),
            ecus: ecus.collect(),
            node,
            bus,
            now: 0,
            has_traffic: true,
            sent: Vec::new(),
            answers: Vec::new(),
            reports: Vec::new(),
        }
    }

    pub(super) fn with_engine(settings: PollSettings) -> Self {
        Self::new(settings, VirtualBusSettings::default(), vec![engine()])
    }

    pub(super) fn engine(&mut self) -> &mut SimulatedEcu {
        &mut self.ecus[0].0
    }

    pub(super) fn say(&mut self, raw: u32, data: &[u8]) {
        let id = FrameId { raw, is_extended: false };
        let frame = Frame::new(Timestamp(self.now), Arc::from("vbus0"), id, FrameKind::Data, data).unwrap();
        self.others.send(&frame).unwrap();
    }

    /// Lets time pass in steps.
    pub(super) fn run(&mut self, seconds: i64) {
        self.run_by(seconds * SECOND, 5 * MS);
    }

    pub(super) fn run_by(&mut self, us: i64, step_us: i64) {
        let end = self.now + us;
        while self.now < end {
            self.now += step_us;
            self.bus.advance_to(Timestamp(self.now));
            if self.has_traffic && self.now % (100 * MS) < step_us {
                self.say(0x100, &[1, 2, 3]);
            }
            let now = Timestamp(self.now);
            for (ecu, endpoint, writer) in &mut self.ecus {
                while let Ok(Polled::Frame(frame)) = endpoint.next_within(Duration::ZERO) {
                    ecu.observe(&frame);
                }
                ecu.tick(now);
                while let Some(frame) = ecu.take_frame(now) {
                    writer.send(&frame).unwrap();
                }
            }
            while let Ok(Polled::Frame(frame)) = self.node.next_within(Duration::ZERO) {
                self.poller.observe(&frame);
            }
            self.poller.tick(now);
            for frame in self.poller.take_outgoing() {
                self.writer.send(&frame).unwrap();
                self.sent.push(frame);
            }
            self.answers.extend(self.poller.take_answers());
            self.reports.extend(self.poller.take_fault_reports());
        }
    }

    pub(super) fn answers_of(&self, pid: u8) -> usize {
        self.answers.iter().filter(|f| f.id == obd::CURRENT_DATA_ID && f.data()[1] == pid).count()
    }

    pub(super) fn last(&self, list: FaultList) -> &FaultReport {
        self.reports.iter().rev().find(|report| report.list == list).expect("a report")
    }
}

pub(super) fn engine() -> SimulatedEcu {
    let mut ecu = SimulatedEcu::new(EcuSettings::engine(Arc::from("vbus0")));
    ecu.set_pid(0x0C, &[0x1A, 0xF8]);
    ecu.set_pid(0x0D, &[88]);
    ecu.set_pid(0x05, &[0x7B]);
    ecu
}

pub(super) fn gearbox() -> SimulatedEcu {
    let id = |raw| FrameId { raw, is_extended: false };
    let mut settings = EcuSettings::engine(Arc::from("vbus0"));
    settings.address = Address::normal(id(0x7E9), id(0x7E1));
    let mut ecu = SimulatedEcu::new(settings);
    ecu.set_pid(0x0D, &[87]);
    ecu
}

/// A battery's control unit: UDS alone; slow to take, in blocks of 2 with 5 ms between.
pub(super) fn battery() -> (SimulatedEcu, PollSettings) {
    battery_in(LinkSettings { block_size: 2, st_min_code: 5, ..LinkSettings::default() })
}

/// The same, by whatever link.
pub(super) fn battery_in(link: LinkSettings) -> (SimulatedEcu, PollSettings) {
    let id = |raw| FrameId { raw, is_extended: false };
    let address = Address::normal(id(0x7E4), id(0x7EC));
    let mut ecu_settings = EcuSettings::engine(Arc::from("vbus0"));
    ecu_settings.address = address.turned();
    ecu_settings.functional_id = None;
    ecu_settings.link = link;
    let mut settings = PollSettings { pids: Vec::new(), obd_faults_every: None, ..settings() };
    settings.ecus.push(EcuPoll {
        name: "bms".to_owned(),
        address,
        frames: EcuFrames::Classic,
        faults_every: Some(Duration::from_secs(20)),
        status_mask: 0x0D,
        session: Some(3),
    });
    let frame_id = FrameId { raw: 0x1FFF_F110, is_extended: true };
    settings.dids.push(DidPoll {
        ecu: 0,
        identifier: 0x0101,
        frame_id,
        frames_max: 2,
        period: Duration::from_secs(2),
    });
    (SimulatedEcu::new(ecu_settings), settings)
}
