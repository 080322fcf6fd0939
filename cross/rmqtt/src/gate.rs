//! Asks [`Access`] at every CONNECT, SUBSCRIBE and PUBLISH.

use std::sync::Arc;

use async_trait::async_trait;
use rmqtt::{
    codec::v5::SubscribeAckReason,
    context::ServerContext,
    hook::{Handler, HookResult, Parameter, ReturnType, Type},
    types::{AuthResult, ConnectInfo, Id, PublishAclResult, SubscribeAclResult},
};

use crate::access::{Access, Right};

/// Above whatever else might answer.
const PRIORITY: u32 = 1000;

struct Gate(Arc<Access>);

/// From now on nothing passes but what `access` lets.
pub async fn close(scx: &ServerContext, access: Access) {
    let access = Arc::new(access);
    let register = scx.extends.hook_mgr().register();
    for asked in [Type::ClientAuthenticate, Type::ClientSubscribeCheckAcl, Type::MessagePublishCheckAcl] {
        register.add_priority(asked, PRIORITY, Box::new(Gate(Arc::clone(&access)))).await;
    }
    register.start().await;
}

#[async_trait]
impl Handler for Gate {
    async fn hook(&self, asked: &Parameter, so_far: Option<HookResult>) -> ReturnType {
        let answer = match asked {
            Parameter::ClientAuthenticate(connect) => HookResult::AuthResult(self.of_connection(connect)),
            Parameter::ClientSubscribeCheckAcl(session, subscribe) => HookResult::SubscribeAclResult(
                if self.may(&session.id, Right::Read, &subscribe.topic_filter) {
                    SubscribeAclResult::new_success(subscribe.opts.qos(), None)
                } else {
                    SubscribeAclResult::new_failure(SubscribeAckReason::NotAuthorized)
                },
            ),
            Parameter::MessagePublishCheckAcl(session, publish) => {
                HookResult::PublishAclResult(if self.may(&session.id, Right::Write, &publish.topic) {
                    PublishAclResult::allow()
                } else {
                    // With MQTT 5 the client is told; with 3.1.1 it cannot be.
                    PublishAclResult::rejected(false, None)
                })
            }
            _ => return (true, so_far),
        };
        (false, Some(answer))
    }
}

impl Gate {
    fn of_connection(&self, connect: &ConnectInfo) -> AuthResult {
        let certificate = match connect {
            ConnectInfo::V3(_, connect) => connect.cert.as_ref(),
            ConnectInfo::V5(_, connect) => connect.cert.as_ref(),
        };
        // Not the user name: without a common name it would be what the client says.
        let name = certificate.and_then(|c| c.common_name.as_deref());
        let id = connect.id();
        match name {
            Some(name) if self.0.may_connect(name, &id.client_id) => AuthResult::Allow(false, None),
            _ => {
                log::warn!("refused: client id {:?} of the certificate of {name:?}", id.client_id);
                AuthResult::NotAuthorized
            }
        }
    }

    fn may(&self, id: &Id, right: Right, topic: &str) -> bool {
        // The node has put the common name there.
        let name = id.username.as_deref().unwrap_or_default();
        let may = self.0.may(name, right, topic);
        if !may {
            log::warn!("refused: {right:?} of {topic} by {name}");
        }
        may
    }
}
