//! Who asks: by a password, or by the token it was changed for; anybody where no users are named.
//!
//! A token is the user's name, when it ends, and HMAC-SHA256 of both by the user's password. So it is good in
//! every process with the same users, ends with the password, and nothing has to be kept.

use std::sync::{Arc, Mutex, PoisonError};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_URL_SAFE_NO_PAD,
};
use lake::Whose;
use ring::hmac;
use service::SharedClock;
use tonic::{Request, Status, metadata::MetadataMap, service::Interceptor};

use crate::doors::User;

/// How long a token is good; a client that holds on to one longer signs in again.
const TOKEN_DAYS: i64 = 7;
const DAY_S: i64 = 86_400;
/// What a token is signed for, so that it is no signature of anything else.
const TOKEN_OF: &str = "roadlake/flight-token/v1";
/// Wrong passwords a second, of all together; more are not looked at.
const WRONG_PER_S_MAX: u32 = 20;
/// Name and password as RFC 7617 writes them; Arrow's client in Go leaves the padding off.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Header of who asks.
const AUTHORIZATION: &str = "authorization";

/// Who asks, and which vehicles' rows they may see; `None` for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) name: String,
    pub(super) whose: Option<Whose>,
}

/// The users, and how many wrong passwords there were in this second.
pub(super) struct Login {
    users: Vec<User>,
    clock: SharedClock,
    wrong: Mutex<(i64, u32)>,
}

/// Lets a call through with who makes it.
#[derive(Clone)]
pub(super) struct Check(pub(super) Arc<Login>);

impl Interceptor for Check {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let who = self.0.who(request.metadata())?;
        request.extensions_mut().insert(who);
        Ok(request)
    }
}

impl Login {
    pub(super) fn new(users: Vec<User>, clock: SharedClock) -> Self {
        Self { users, clock, wrong: Mutex::default() }
    }

    fn now_s(&self) -> i64 {
        self.clock.now_us().div_euclid(1_000_000)
    }

    /// Who makes a call, by its headers.
    fn who(&self, headers: &MetadataMap) -> Result<Who, Status> {
        if self.users.is_empty() {
            return Ok(Who::default());
        }
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, given)) = given.and_then(|given| given.split_once(' ')) else {
            return Err(Status::unauthenticated("sign in with a user and a password"));
        };
        let user = if scheme.eq_ignore_ascii_case("basic") {
            self.by_password(given)?
        } else if scheme.eq_ignore_ascii_case("bearer") {
            self.by_token(given)?
        } else {
            return Err(Status::unauthenticated("authorization is Basic with a user and a password"));
        };
        Ok(Who { name: user.name.clone(), whose: user.whose.clone() })
    }

    fn named(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    fn by_password(&self, given: &str) -> Result<&User, Status> {
        let now_s = self.now_s();
        {
            let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
            if wrong.0 != now_s {
                *wrong = (now_s, 0);
            }
            if wrong.1 >= WRONG_PER_S_MAX {
                return Err(Status::resource_exhausted("too many wrong passwords; try again in a second"));
            }
        }
        let found = BASIC.decode(given).ok().and_then(|bytes| {
            let text = String::from_utf8(bytes).ok()?;
            let (name, password) = text.split_once(':')?;
            let user = self.named(name)?;
            // By their signatures, which are compared in constant time.
            let (key, known) = (key(user), user.password.expose().as_bytes());
            let seal = hmac::sign(&key, password.as_bytes());
            hmac::verify(&key, known, seal.as_ref()).is_ok().then_some(user)
        });
        found.ok_or_else(|| {
            self.wrong.lock().unwrap_or_else(PoisonError::into_inner).1 += 1;
            Status::unauthenticated("no such user with this password")
        })
    }

    fn by_token(&self, token: &str) -> Result<&User, Status> {
        let gone =
            || Status::unauthenticated("the token has ended or is none of this server's; sign in again");
        let mut parts = token.split('.');
        let (Some(name), Some(ends_s), Some(seal), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(gone());
        };
        let decoded = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
        let name = decoded(name).and_then(|name| String::from_utf8(name).ok()).ok_or_else(gone)?;
        let user = self.named(&name).ok_or_else(gone)?;
        let seal = decoded(seal).ok_or_else(gone)?;
        let ends_s: i64 = ends_s.parse().map_err(|_| gone())?;
        hmac::verify(&key(user), sealed(&name, ends_s).as_bytes(), &seal).map_err(|_| gone())?;
        if ends_s <= self.now_s() { Err(gone()) } else { Ok(user) }
    }

    /// The token of who has given a password; of somebody where nobody is named.
    pub(super) fn token(&self, who: &Who) -> String {
        let Some(user) = self.named(&who.name) else { return "anybody".to_owned() };
        let ends_s = self.now_s() + TOKEN_DAYS * DAY_S;
        let seal = hmac::sign(&key(user), sealed(&user.name, ends_s).as_bytes());
        let encoded = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        format!("{}.{ends_s}.{}", encoded(user.name.as_bytes()), encoded(seal.as_ref()))
    }
}

fn key(user: &User) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, user.password.expose().as_bytes())
}

fn sealed(name: &str, ends_s: i64) -> String {
    format!("{TOKEN_OF}\0{name}\0{ends_s}")
}

#[cfg(test)]
mod tests {
    use service::clock::ManualClock;

    use super::*;
    use crate::doors::testing::user;

    fn asked(login: &Login, authorization: &str) -> Result<Who, Status> {
        let mut headers = MetadataMap::new();
        headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        login.who(&headers)
    }

    fn basic(name: &str, password: &str) -> String {
        format!("Basic {}", BASIC.encode(format!("{name}:{password}")))
    }

    #[test]
    fn a_token_is_good_until_its_end_for_its_user_and_password() {
        let clock = ManualClock::at(1_000_000_000_000_000);
        let login = |users| Login::new(users, clock.clone());
        let here = login(vec![user("fleet", None), user("acme", Some("acme-*"))]);
        let who = asked(&here, &basic("acme", "secret of acme")).unwrap();
        assert_eq!((who.name.as_str(), who.whose.is_some()), ("acme", true));
        let unpadded = basic("acme", "secret of acme").trim_end_matches('=').to_owned();
        assert_eq!(asked(&here, &unpadded).unwrap(), who);
        let token = here.token(&who);
        let bearer = format!("Bearer {token}");
        assert_eq!(asked(&here, &bearer).unwrap(), who);
        // Another process with the same users; then one whose user has another password, and one without them.
        assert_eq!(asked(&login(vec![user("acme", Some("acme-*"))]), &bearer).unwrap(), who);
        let mut changed = user("acme", None);
        changed.password = "another".to_owned().into();
        for other in [login(vec![changed]), login(vec![user("fleet", None)])] {
            asked(&other, &bearer).unwrap_err();
        }
        // Of another name, of a later end, of a cut or longer seal.
        let parts: Vec<&str> = token.split('.').collect();
        let fleet = BASE64_URL_SAFE_NO_PAD.encode("fleet");
        let later = (parts[1].parse::<i64>().unwrap() + 1).to_string();
        for forged in [
            format!("{fleet}.{}.{}", parts[1], parts[2]),
            format!("{}.{later}.{}", parts[0], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{token}AA"),
            format!("{token}.x"),
            String::new(),
        ] {
            let refused = asked(&here, &format!("Bearer {forged}")).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::Unauthenticated, "{forged}");
        }
        clock.advance(std::time::Duration::from_secs(7 * 86_400 - 1));
        asked(&here, &bearer).unwrap();
        clock.advance(std::time::Duration::from_secs(1));
        asked(&here, &bearer).unwrap_err();
    }

    #[test]
    fn wrong_passwords_are_refused_and_then_not_looked_at() {
        let clock = ManualClock::at(0);
        let login = Login::new(vec![user("fleet", None)], clock.clone());
        for (name, password) in [("fleet", "wrong"), ("fleet", ""), ("nobody", "secret of nobody"), ("", "")]
        {
            let refused = asked(&login, &basic(name, password)).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        }
        for junk in ["Basic", "Basic !", "Digest abc", "Bearer", "x"] {
            asked(&login, junk).unwrap_err();
        }
        for _ in 0..WRONG_PER_S_MAX {
            asked(&login, &basic("fleet", "wrong")).unwrap_err();
        }
        let refused = asked(&login, &basic("fleet", "secret of fleet")).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        clock.advance(std::time::Duration::from_secs(1));
        asked(&login, &basic("fleet", "secret of fleet")).unwrap();
    }
}
