//! Which master is asked next.

use crate::address;
use crate::connection::Endpoint;
#[cfg(feature = "zookeeper")]
use crate::zookeeper::{Detector, Ensemble};
use crate::{Error, Settings};

/// Where the leading master may be.
#[derive(Debug)]
pub(crate) enum Masters {
    /// Each is asked in turn.
    Listed {
        endpoints: Vec<Endpoint>,
        turn: usize,
    },
    #[cfg(feature = "zookeeper")]
    Detected {
        detector: Detector,
        /// Who led when it was last asked.
        followed: Option<Endpoint>,
    },
}

impl Masters {
    /// What the settings say. One address that is wrong is told at once, however far down the list.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let is_secure = settings.tls.is_some();
        if let [only] = &settings.masters[..]
            && only.starts_with(address::ZOOKEEPER)
        {
            return Self::detected(only, is_secure);
        }
        let endpoints = settings.masters.iter();
        let endpoints: Vec<_> = endpoints
            .map(|master| address::check(master, is_secure))
            .collect::<Result<_, _>>()?;
        if endpoints.is_empty() {
            // Says what an address is.
            address::check("", is_secure)?;
        }
        Ok(Self::Listed { endpoints, turn: 0 })
    }

    #[cfg(feature = "zookeeper")]
    fn detected(text: &str, is_secure: bool) -> Result<Self, Error> {
        let ensemble = Ensemble::parse(text)?;
        Ok(Self::Detected {
            detector: Detector::start(&ensemble, is_secure),
            followed: None,
        })
    }

    #[cfg(not(feature = "zookeeper"))]
    fn detected(text: &str, _: bool) -> Result<Self, Error> {
        Err(Error::Address {
            address: address::without_secret(text),
            reason: "this program was built without the feature `zookeeper` of meseta-framework",
        })
    }

    /// Whom to ask now; an error is a sentence.
    #[cfg_attr(
        not(feature = "zookeeper"),
        allow(clippy::unused_async, reason = "only ZooKeeper is waited for")
    )]
    pub(crate) async fn next(&mut self) -> Result<Endpoint, String> {
        match self {
            Self::Listed { endpoints, turn } => {
                let at = turn.checked_rem(endpoints.len()).unwrap_or_default();
                *turn = at + 1;
                endpoints
                    .get(at)
                    .cloned()
                    .ok_or_else(|| "there are no masters".to_owned())
            }
            #[cfg(feature = "zookeeper")]
            Self::Detected { detector, followed } => {
                let leader = detector.leader().await?;
                *followed = Some(leader.clone());
                Ok(leader)
            }
        }
    }

    /// Waits until there is reason to ask again at once.
    pub(crate) async fn news(&mut self) {
        match self {
            Self::Listed { .. } => std::future::pending().await,
            #[cfg(feature = "zookeeper")]
            Self::Detected { detector, .. } => detector.changed().await,
        }
    }

    /// Waits until another master leads than the one that was last asked.
    pub(crate) async fn another(&mut self) -> Endpoint {
        match self {
            Self::Listed { .. } => std::future::pending().await,
            #[cfg(feature = "zookeeper")]
            Self::Detected { detector, followed } => match followed {
                Some(followed) => detector.leads_other_than(followed).await,
                None => std::future::pending().await,
            },
        }
    }
}
