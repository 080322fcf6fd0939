//! One request at a time over a link: the client's timing of ISO 14229-2 clause 7.2.

use std::time::Duration;

use wire::time::Timestamp;

use super::{
    ANSWER, NEGATIVE, NegativeCode, READ_DATA, READ_DTCS, SESSION_CONTROL, SUPPRESS, TESTER_PRESENT,
};
use crate::{
    frame::{Frame, FrameId},
    isotp::{Link, LinkEvent, LinkFault, SendError, micros},
    obd,
};

/// How long an answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// `P2`: from the request's end to the answer's begin. The control unit has 50 ms
    /// (ISO 14229-2 table 4); bus and gateway get the rest.
    pub p2: Duration,
    /// `P2*`: the same after a *response pending*; the control unit has 5 s.
    pub p2_star: Duration,
    /// Longest time from request to answer with all that was pending.
    pub answer_max: Duration,
    /// Times a request is put again to a control unit that says *busy repeat request*.
    pub repeats_max: u32,
    /// Wait before that.
    pub repeat_after: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            p2: Duration::from_millis(150),
            p2_star: Duration::from_millis(5_100),
            answer_max: Duration::from_secs(30),
            repeats_max: 3,
            repeat_after: Duration::from_millis(200),
        }
    }
}

/// What a request led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A positive answer, whole.
    Positive {
        /// From the service's byte on.
        answer: Vec<u8>,
        /// When its last frame came.
        time: Timestamp,
    },
    /// A negative answer that is final.
    Negative {
        /// Why.
        code: NegativeCode,
        /// When it came.
        time: Timestamp,
    },
    /// No answer in time; for a request that wants none this is success.
    Silent {
        /// When the wait was over.
        time: Timestamp,
    },
    /// Request or answer did not get through.
    Failed {
        /// Why.
        fault: LinkFault,
        /// When that was known.
        time: Timestamp,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The request is going out.
    Sending,
    /// Waiting for an answer to begin.
    Waiting { deadline: Timestamp },
    /// An answer has begun; the link watches over it.
    Receiving,
    /// The request will be put again.
    Repeating { at: Timestamp },
}

#[derive(Debug)]
struct Exchange {
    request: Vec<u8>,
    functional_id: Option<FrameId>,
    begun: Timestamp,
    stage: Stage,
    is_pending: bool,
    repeats: u32,
}

/// A link that carries one request at a time.
#[derive(Debug)]
pub struct Client {
    link: Link,
    timing: Timing,
    exchange: Option<Exchange>,
    outcome: Option<Outcome>,
}

impl Client {
    /// A client at rest.
    pub fn new(link: Link, timing: Timing) -> Self {
        Self { link, timing, exchange: None, outcome: None }
    }

    /// Whether a request can be put.
    pub fn is_idle(&self) -> bool {
        self.exchange.is_none() && self.outcome.is_none()
    }

    /// The link below.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Puts a request to the link's control unit, or by `functional_id` to all and takes only this
    /// one's answer.
    pub fn ask(
        &mut self,
        request: &[u8],
        functional_id: Option<FrameId>,
        now: Timestamp,
    ) -> Result<(), SendError> {
        if !self.is_idle() {
            return Err(SendError::Busy);
        }
        self.link.reset();
        self.put(request, functional_id, now)?;
        self.exchange = Some(Exchange {
            request: request.to_vec(),
            functional_id,
            begun: now,
            stage: Stage::Sending,
            is_pending: false,
            repeats: 0,
        });
        Ok(())
    }

    fn put(
        &mut self,
        request: &[u8],
        functional_id: Option<FrameId>,
        now: Timestamp,
    ) -> Result<(), SendError> {
        match functional_id {
            Some(id) => self.link.send_functional(request, id, now),
            None => self.link.send(request, now),
        }
    }

    /// Gives the request up, without an outcome.
    pub fn abandon(&mut self) {
        self.link.reset();
        self.exchange = None;
        self.outcome = None;
    }

    /// Takes a frame of the bus. Without a request under way it is not looked at: it is an answer
    /// to somebody else, and must not be given our flow control.
    pub fn observe(&mut self, frame: &Frame) {
        if self.exchange.is_some() && self.link.observe(frame) {
            self.react();
        }
    }

    /// Looks whether a wait is over.
    pub fn tick(&mut self, now: Timestamp) {
        let Some(exchange) = &self.exchange else { return };
        let is_over = exchange.begun.plus_us(micros(self.timing.answer_max)) < now;
        match exchange.stage {
            _ if is_over => return self.end(Outcome::Silent { time: now }),
            Stage::Waiting { deadline } if deadline < now => {
                return self.end(Outcome::Silent { time: now });
            }
            Stage::Repeating { at } if at <= now => self.repeat(now),
            _ => {}
        }
        self.link.tick(now);
        self.react();
    }

    fn repeat(&mut self, now: Timestamp) {
        let Some(mut exchange) = self.exchange.take() else { return };
        exchange.stage = Stage::Sending;
        // It went out once, so it is not refused now; if it were, the wait would end it.
        let put = self.put(&exchange.request, exchange.functional_id, now);
        debug_assert!(put.is_ok(), "the request went out before");
        self.exchange = Some(exchange);
    }

    /// The next frame to put on the bus now.
    pub fn take_frame(&mut self, now: Timestamp) -> Option<Frame> {
        let frame = self.link.take_frame(now);
        if frame.is_some() {
            self.react();
        }
        frame
    }

    /// What the last request led to, once.
    pub fn take_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }

    /// When something is to be done without a frame from the bus.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let exchange = self.exchange.as_ref()?;
        let own = match exchange.stage {
            Stage::Waiting { deadline } => Some(deadline.plus_us(1)),
            Stage::Repeating { at } => Some(at),
            Stage::Sending | Stage::Receiving => None,
        };
        let over = exchange.begun.plus_us(micros(self.timing.answer_max)).plus_us(1);
        [own, self.link.wake_at(), Some(over)].into_iter().flatten().min()
    }

    fn react(&mut self) {
        while let Some(event) = self.link.take_event() {
            match event {
                LinkEvent::Sent { time } => self.wait(time),
                LinkEvent::Started { .. } => self.stage(Stage::Receiving),
                LinkEvent::Received { payload, time } => self.answer(payload, time),
                LinkEvent::SendFailed { fault, time } | LinkEvent::ReceiveFailed { fault, time } => {
                    self.end(Outcome::Failed { fault, time });
                }
            }
        }
    }

    fn stage(&mut self, stage: Stage) {
        if let Some(exchange) = &mut self.exchange {
            exchange.stage = stage;
        }
    }

    /// Waits for the begin of an answer, by `P2` or, after a pending one, `P2*`.
    fn wait(&mut self, from: Timestamp) {
        let Some(exchange) = &mut self.exchange else { return };
        let wait = if exchange.is_pending { self.timing.p2_star } else { self.timing.p2 };
        exchange.stage = Stage::Waiting { deadline: from.plus_us(micros(wait)) };
    }

    fn answer(&mut self, answer: Vec<u8>, time: Timestamp) {
        let Some(exchange) = &mut self.exchange else { return };
        if let [NEGATIVE, service, code, ..] = *answer
            && exchange.request.first() == Some(&service)
        {
            match NegativeCode(code) {
                NegativeCode::PENDING => {
                    exchange.is_pending = true;
                    self.wait(time);
                }
                NegativeCode::BUSY if exchange.repeats < self.timing.repeats_max => {
                    exchange.repeats += 1;
                    exchange.is_pending = false;
                    let at = time.plus_us(micros(self.timing.repeat_after));
                    exchange.stage = Stage::Repeating { at };
                }
                code => self.end(Outcome::Negative { code, time }),
            }
        } else if is_answer_to(&exchange.request, &answer) {
            self.end(Outcome::Positive { answer, time });
        } else if exchange.stage == Stage::Receiving {
            // The answer to somebody else took its time; ours has as long as ever.
            self.wait(time);
        }
    }

    fn end(&mut self, outcome: Outcome) {
        self.link.reset();
        self.exchange = None;
        self.outcome = Some(outcome);
    }
}

/// Whether an answer is the positive one to a request: its service, and what it repeats of the
/// request. A late answer to an earlier request is not.
pub(crate) fn is_answer_to(request: &[u8], answer: &[u8]) -> bool {
    let (Some((service, asked)), Some((answered, echo))) = (request.split_first(), answer.split_first())
    else {
        return false;
    };
    if service.checked_add(ANSWER) != Some(*answered) {
        return false;
    }
    match *service {
        SESSION_CONTROL | TESTER_PRESENT | READ_DTCS => {
            asked.first().map(|sub| sub & !SUPPRESS) == echo.first().copied()
        }
        obd::CURRENT_DATA | obd::VEHICLE_INFORMATION => asked.first() == echo.first(),
        READ_DATA | obd::FREEZE_FRAME => asked.get(..2).is_some_and(|asked| echo.starts_with(asked)),
        _ => true,
    }
}
