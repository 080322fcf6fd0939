//! What vehicles are to be told: one message a vehicle waits for the broker, and takes up what is said
//! meanwhile ([`crate::telling`] has the connection). So nothing is dropped when a commit acknowledges more
//! vehicles at once than a connection takes, and what waits is never more than a message a vehicle.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;
use wire::{ack::AckMessage, ids::VehicleId};

use crate::{metrics, share::Share};

/// The downlinks of all parts of a share.
#[derive(Debug, Clone)]
pub struct Downlinks {
    share: Share,
    parts: Vec<Downlink>,
}

impl Downlinks {
    /// One for each of so many parts of the share.
    pub fn new(share: Share, parts: usize) -> Self {
        Self { share, parts: (0..parts).map(|_| Downlink::default()).collect() }
    }

    /// Lets a vehicle be told this, with what it is not told yet.
    pub fn tell(&self, vehicle_id: &VehicleId, message: AckMessage) {
        if let Some(part) = self.parts.get(self.share.part_of(vehicle_id.shard(), self.parts.len())) {
            part.tell(vehicle_id, message);
        }
    }

    /// That of each part.
    pub fn parts(&self) -> &[Downlink] {
        &self.parts
    }
}

/// Takes what is to be told; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Downlink(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    more: Notify,
}

/// In the order in which vehicles came to have something to be told.
#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<VehicleId>,
    messages: HashMap<VehicleId, AckMessage>,
}

impl Downlink {
    /// Lets a vehicle be told this, with what it is not told yet.
    pub fn tell(&self, vehicle_id: &VehicleId, message: AckMessage) {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting { order, messages } = &mut *waiting;
        match messages.entry(vehicle_id.clone()) {
            Entry::Occupied(earlier) => take_up(earlier.into_mut(), message),
            Entry::Vacant(place) => {
                order.push_back(vehicle_id.clone());
                place.insert(message);
                metrics::ack_waits();
            }
        }
        drop(waiting);
        self.0.more.notify_one();
    }

    /// The next to be told, once there is one. What is taken and not handed on is gone: the vehicle asks for it
    /// by sending again.
    pub(crate) async fn next(&self) -> (VehicleId, AckMessage) {
        loop {
            let more = self.0.more.notified();
            if let Some(next) = self.take() {
                return next;
            }
            more.await;
        }
    }

    fn take(&self) -> Option<(VehicleId, AckMessage)> {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let vehicle_id = waiting.order.pop_front()?;
        let message = waiting.messages.remove(&vehicle_id).unwrap_or_default();
        metrics::ack_handed_on();
        Some((vehicle_id, message))
    }
}

/// Adds to a message what was said after it. A durable ack ends a wait that was asked for before it.
fn take_up(message: &mut AckMessage, later: AckMessage) {
    let AckMessage { durable, need_catalog, rejected, wait_s } = later;
    if wait_s > 0 || !durable.is_empty() {
        message.wait_s = wait_s;
    }
    for ack in durable {
        match message.durable.iter_mut().find(|earlier| earlier.stream_id == ack.stream_id) {
            Some(earlier) => earlier.up_to_sequence = earlier.up_to_sequence.max(ack.up_to_sequence),
            None => message.durable.push(ack),
        }
    }
    add_new(&mut message.need_catalog, need_catalog);
    add_new(&mut message.rejected, rejected);
}

fn add_new<T: PartialEq>(known: &mut Vec<T>, more: Vec<T>) {
    for one in more {
        if !known.contains(&one) {
            known.push(one);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use wire::{
        ack::DurableAck,
        ids::{CatalogHash, StreamId},
    };

    use super::*;

    fn durable(stream: u128, up_to_sequence: u64) -> AckMessage {
        let ack = DurableAck { stream_id: StreamId(Uuid::from_u128(stream)), up_to_sequence };
        AckMessage { durable: vec![ack], ..AckMessage::default() }
    }

    fn vehicle(number: usize) -> VehicleId {
        format!("car-{number}").parse().unwrap()
    }

    #[tokio::test]
    async fn every_vehicle_of_a_large_fleet_is_told_its_latest_in_its_turn() {
        let downlink = Downlink::default();
        for sequence in 1..=3 {
            for number in 0..20_000 {
                downlink.tell(&vehicle(number), durable(number as u128, sequence));
            }
        }
        for number in 0..20_000 {
            assert_eq!(downlink.next().await, (vehicle(number), durable(number as u128, 3)));
        }
        assert_eq!(downlink.take(), None);
    }

    #[tokio::test]
    async fn what_is_told_later_wakes_who_waits_for_it() {
        let downlink = Downlink::default();
        let (told, ()) = tokio::join!(downlink.next(), async {
            tokio::task::yield_now().await;
            downlink.tell(&vehicle(1), durable(1, 7));
        });
        assert_eq!(told, (vehicle(1), durable(1, 7)));
    }

    #[test]
    fn a_message_takes_up_what_is_said_after_it() {
        let mut message = AckMessage { rejected: vec![1], ..durable(1, 5) };
        take_up(&mut message, AckMessage { rejected: vec![1, 2], ..durable(2, 9) });
        take_up(&mut message, durable(1, 4));
        let hash = CatalogHash(Uuid::from_u128(7));
        take_up(&mut message, AckMessage { need_catalog: vec![hash], ..AckMessage::default() });
        take_up(&mut message, AckMessage { need_catalog: vec![hash], ..AckMessage::default() });
        let expected = AckMessage {
            durable: [durable(1, 5).durable, durable(2, 9).durable].concat(),
            need_catalog: vec![hash],
            rejected: vec![1, 2],
            wait_s: 0,
        };
        assert_eq!(message, expected);
    }

    #[test]
    fn a_durable_ack_ends_a_wait_before_it_and_not_one_after_it() {
        let wait = AckMessage { wait_s: 30, ..AckMessage::default() };
        let mut message = wait.clone();
        take_up(&mut message, durable(1, 1));
        assert_eq!(message, durable(1, 1));
        take_up(&mut message, wait);
        take_up(&mut message, AckMessage { rejected: vec![1], ..AckMessage::default() });
        assert_eq!((message.wait_s, message.durable.len()), (30, 1));
    }
}
