//! Numbers that others keep, read when somebody asks for the metrics.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One number of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric's full name, such as `doorward_cache_hits_total`.
    pub name: &'static str,
    /// One sentence about it.
    pub help: &'static str,
    /// What the number means.
    pub kind: Kind,
    /// Label names and values: values out of a bounded set, never out of a request.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: f64,
}

type Read = Box<dyn Fn() -> Vec<Sample> + Send + Sync>;

/// All sources. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Sources(Arc<Mutex<Vec<Read>>>);

impl Sources {
    pub(super) fn add(&self, read: Read) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(read);
    }

    fn samples(&self) -> Vec<Sample> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().flat_map(|read| read()).collect()
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources")
    }
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // The format wants all samples of one name in one place, whichever source they come from.
        let mut families: BTreeMap<&'static str, Vec<Sample>> = BTreeMap::new();
        for sample in self.samples() {
            families.entry(sample.name).or_default().push(sample);
        }
        for (name, samples) in families {
            let Some(first) = samples.first() else { continue };
            let (kind, help) = (first.kind, first.help);
            let (name, metric_type) = match kind {
                // The encoder writes `_total` behind a counter's name itself.
                Kind::Counter => (name.strip_suffix("_total").unwrap_or(name), MetricType::Counter),
                Kind::Gauge => (name, MetricType::Gauge),
            };
            let help = help.strip_suffix('.').unwrap_or(help);
            let mut family = encoder.encode_descriptor(name, help, None, metric_type)?;
            for sample in samples {
                if sample.labels.is_empty() {
                    write(&mut family, kind, sample.value)?;
                } else {
                    write(&mut family.encode_family(&sample.labels)?, kind, sample.value)?;
                }
            }
        }
        Ok(())
    }
}

fn write(metric: &mut MetricEncoder<'_>, kind: Kind, value: f64) -> fmt::Result {
    match kind {
        Kind::Counter => metric.encode_counter::<[(&str, &str); 0], f64, f64>(&value, None),
        Kind::Gauge => metric.encode_gauge(&value),
    }
}
