//! How gossip is set up: what is said is passed on once it is found to be good, and who passes on what is not is heard
//! less and less.

use std::collections::HashSet;
use std::time::Duration;

use libp2p::gossipsub::{
    self, ConfigBuilder, MaxCountSubscriptionFilter, Message, MessageAuthenticity, MessageId,
    PeerScoreParams, PeerScoreThresholds, TopicScoreParams, ValidationMode, WhitelistSubscriptionFilter,
    score_parameter_decay,
};

use super::envelope;
use super::rate::Rate;

/// Topics are few: libp2p shows a peer with more than a hundred as one with none.
pub const COORDINATION: &str = "bzzz/coordination/v1";

/// Around a message on the wire.
const FRAME_BYTES: usize = 1024;
/// How long a message waits for a slow connection. A shorter time loses messages in bursts, which the exchange of state
/// brings later.
const QUEUE: Duration = Duration::from_secs(8);
/// Messages that wait for one connection. More are lost.
const QUEUE_LEN: usize = 4096;
/// Neighbours in the mesh. In a smaller swarm all are.
const MESH: (usize, usize, usize) = (4, 6, 10);
/// A peer's points for what it did are forgotten after as long.
const FADE: Duration = Duration::from_secs(10 * 60);
/// That a peer was late is forgotten after as long. Longer: peers that are busy at the same time do not hear each other for
/// minutes.
const LATE_FADE: Duration = Duration::from_secs(10);
/// Subscriptions that a peer may send at once. Of more, none count; those to other topics never do.
const MAX_SUBSCRIPTIONS: usize = 64;

/// What one peer may pass on: all that a swarm of a thousand nodes says, and bursts.
pub(super) const PEER_RATE: Rate = Rate { a_second: 500.0, at_once: 4000.0 };
/// What one author may say. A node says about one message a second when it is busy.
pub(super) const AUTHOR_RATE: Rate = Rate { a_second: 20.0, at_once: 400.0 };

/// What comes beyond its rate is not heard. So much more than that is a flood: an honest node passes on what others flood it
/// with, within its own rates.
pub(super) const FLOOD: f64 = 4.0;

pub(super) type Gossip = gossipsub::Behaviour<
    gossipsub::IdentityTransform,
    MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>,
>;

pub(super) fn topic() -> gossipsub::IdentTopic {
    gossipsub::IdentTopic::new(COORDINATION)
}

pub(super) fn build() -> Result<Gossip, String> {
    let (low, mesh, high) = MESH;
    let config = ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(id)
        .max_transmit_size(envelope::MAX_BYTES + FRAME_BYTES)
        .mesh_n_low(low)
        .mesh_n(mesh)
        .mesh_n_high(high)
        .mesh_outbound_min(2)
        // In a small swarm the mesh is everybody; in a large one it costs more than it brings.
        .flood_publish(false)
        .heartbeat_initial_delay(Duration::from_millis(200))
        .publish_queue_duration(QUEUE)
        .forward_queue_duration(QUEUE)
        .connection_handler_queue_len(QUEUE_LEN)
        .build()
        .map_err(|problem| problem.to_string())?;
    let filter = MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter(HashSet::from([topic().hash()])),
        max_subscribed_topics: MAX_SUBSCRIPTIONS,
        max_subscriptions_per_request: MAX_SUBSCRIPTIONS,
    };
    let mut gossip = Gossip::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)?;
    gossip.with_peer_score(scores(), thresholds())?;
    gossip.subscribe(&topic()).map_err(|problem| problem.to_string())?;
    Ok(gossip)
}

/// The author signs once, in the envelope; gossip itself knows a message by its bytes.
fn id(message: &Message) -> MessageId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(message.topic.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(&message.data);
    MessageId::from(hasher.finalize().as_bytes().to_vec())
}

/// Below these a peer gets no gossip, gets nothing published, and is not heard at all.
fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -20.0,
        publish_threshold: -40.0,
        graylist_threshold: -80.0,
        accept_px_threshold: 1000.0,
        opportunistic_graft_threshold: 1.0,
    }
}

fn scores() -> PeerScoreParams {
    let topic_params = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 100.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_decay: 0.9,
        first_message_deliveries_cap: 10.0,
        // Swarms are quiet: who has nothing to deliver is no free rider.
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        // Not below the thresholds before `standing` has shut the peer out: who is not heard can't be judged.
        invalid_message_deliveries_weight: -2.0,
        invalid_message_deliveries_decay: score_parameter_decay(FADE),
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: [(topic().hash(), topic_params)].into(),
        topic_score_cap: 10.0,
        // What this node counts itself, see `standing`.
        app_specific_weight: 0.5,
        // Nodes behind one router, or on one machine, are no offence.
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: -1.0,
        // What is promised and comes late counts here. A busy machine breaks some promises at once, and one after the other for
        // as long as it is busy; only one that lies all the time breaks ten a second.
        behaviour_penalty_threshold: 20.0,
        behaviour_penalty_decay: score_parameter_decay(LATE_FADE),
        retain_score: FADE,
        ..PeerScoreParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_are_accepted() {
        assert!(build().is_ok_and(|gossip| gossip.topics().count() == 1));
    }
}
