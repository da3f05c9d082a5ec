//! What is sent meets noise and fading: gradients come back through equalisation, gain and power.

use std::sync::{Arc, Once};

use dib::{Channel, Crossing};
use randomness::{Purpose, Seed};

use crate::oracle::Oracle;
use crate::played_round::{PlayedRound, Start, on_one_thread, tensors};
use crate::{THREE_BY_TWO, TIGHTLY_CAPPED, TWO_BY_TWO, agrees, agrees_with, toy};

fn over(scenario: &str, channel: &str, more: &[&str]) {
    let channel = format!("channel=[{{{channel}}}]");
    agrees(&toy(scenario, &[&["train.beta=0.5", &channel], more].concat()), Start::Unsettled);
}

#[test]
fn of_features_over_awgn() {
    over(TWO_BY_TWO, "kind=\"awgn\",snr_db=3", &[]);
    over(THREE_BY_TWO, "kind=\"awgn\",snr_db=[-3,10],power=\"entry\"", &["train.rate_estimator=joint"]);
    over(TIGHTLY_CAPPED, "kind=\"awgn\",snr_db=3,power=\"realised\"", &[]);
}

#[test]
fn of_features_over_rayleigh_and_every_equaliser() {
    for equaliser in ["conjugate", "zero-forcing", "mmse"] {
        over(TWO_BY_TWO, &format!("kind=\"rayleigh\",snr_db=5,equaliser=\"{equaliser}\""), &[]);
    }
    over(THREE_BY_TWO, "kind=\"rayleigh\",snr_db=5,csi=\"none\",block=\"sample\"", &[]);
}

#[test]
fn of_features_over_the_subcarriers_of_a_delay_line() {
    let paths = "kind=\"rayleigh\",snr_db=5,taps=3,subcarriers=3,decay=0.4";
    over(TWO_BY_TWO, paths, &[]);
    over(
        THREE_BY_TWO,
        &format!("{paths},block=\"round\",equaliser=\"conjugate\""),
        &["train.rate_at=received"],
    );
}

#[test]
fn of_the_rate_of_what_arrives() {
    let received = "train.rate_at=received";
    over(TWO_BY_TWO, "kind=\"rayleigh\",snr_db=5", &[received]);
    over(THREE_BY_TWO, "kind=\"awgn\",snr_db=0,power=\"entry\"", &[received, "train.rate_estimator=joint"]);
    // Over ideal channels what is sent arrives.
    over(TWO_BY_TWO, "transmitter=1,kind=\"rayleigh\",snr_db=5,block=\"round\"", &[received]);
}

#[test]
fn of_single_samples_and_of_several_parts_over_rayleigh() {
    over(TWO_BY_TWO, "kind=\"rayleigh\",snr_db=5", &["train.samples_per_tick=1", "train.ticks_per_round=6"]);
    let parts = ["train.ticks_per_round=13", "train.ticks_per_part=10"];
    over(TIGHTLY_CAPPED, "kind=\"rayleigh\",snr_db=5,block=\"round\"", &parts);
}

#[test]
fn of_features_without_a_density_over_rayleigh() {
    for method in ["train.method=vddib", "train.method=dlsc", "train.method=tadib", "train.method=rs-dib"] {
        over(TWO_BY_TWO, "kind=\"rayleigh\",snr_db=5", &[method]);
    }
}

#[test]
fn of_entries_that_a_link_loses_over_a_channel() {
    let lossy = ["straggler.policy=skip", "link=[{loss=0.4}]"];
    over(THREE_BY_TWO, "kind=\"rayleigh\",snr_db=5", &lossy);
}

#[test]
fn of_bits_of_which_some_are_lost_in_the_air() {
    let digital = "kind=\"rayleigh\",snr_db=5,transport=\"digital\",modulation=\"qpsk\",code_rate=0.5";
    let channel = format!("channel=[{{{digital}}}]");
    let bits = ["train.beta=0.5", "train.coding=dithered", "train.rate_estimator=prior", channel.as_str()];
    for (scenario, ticks) in [
        (THREE_BY_TWO, &["train.ticks_per_round=6"][..]),
        (TIGHTLY_CAPPED, &["train.ticks_per_round=13", "train.ticks_per_part=10"][..]),
    ] {
        let setup = toy(scenario, &[&bits[..], ticks].concat());
        let played = on_one_thread(|| PlayedRound::play(&setup, Start::Unsettled));
        // Es/N0 of a link at a tick: a block of QPSK at rate 1/2 is lost far below 1 dB, and received far above.
        let snr_db = |k: usize, t: usize, tick: usize| {
            let moment = played.round * setup.scenario.train.ticks_per_round as u64 + tick as u64;
            let mut draw = setup.seed.stream(Purpose::Gain, &[k as u64, t as u64, 0, 0], moment);
            let power: f64 = (0..2).map(|_| draw.normal().powi(2) / 2.0).sum();
            5.0 + 10.0 * power.log10()
        };
        let (used, mut lost) = (played.granted(&setup), 0);
        for (t, ticks) in played.sent(&setup).iter().enumerate() {
            for (tick, entries) in ticks.iter().enumerate() {
                for entry @ &(k, _) in entries {
                    let (is_used, snr_db) = (used[t][tick].contains(entry), snr_db(k, t, tick));
                    lost += usize::from(!is_used);
                    let is_plausible = if is_used { snr_db > -4.0 } else { snr_db < 7.0 };
                    assert!(is_plausible, "{entry:?} to {t} at tick {tick}, {snr_db} dB: used {is_used}");
                }
            }
        }
        let used = used.iter().flatten().flatten().count();
        assert!(used > 1 && lost > 1, "{used} used and {lost} lost: the test has lost its point");
        // Lost blocks count as not granted; of the others gradients go back as over an ideal channel.
        agrees_with(&setup, played);
    }
}

#[test]
fn of_networks_that_see_the_channel() {
    let see = "network.see_channel=true";
    let gains = "train.baseline=gains";
    over(TWO_BY_TWO, "kind=\"rayleigh\",snr_db=5", &[see]);
    over(TWO_BY_TWO, "kind=\"rayleigh\",snr_db=5,csi=\"both\"", &[see, gains, "train.ticks_per_round=7"]);
    // Receivers see one transmitter's links, whose strength is drawn, and that transmitter none.
    over(THREE_BY_TWO, "transmitter=1,kind=\"awgn\",snr_db=[-3,10]", &[see, gains]);
    over(THREE_BY_TWO, "receiver=1,kind=\"rayleigh\",snr_db=5,csi=\"both\",block=\"round\"", &[see, gains]);
    // One selection for the whole run goes by no gain; decoders and encoders see it all the same.
    let both = "kind=\"rayleigh\",snr_db=5,csi=\"both\",taps=2,subcarriers=2";
    over(TWO_BY_TWO, both, &[see, "train.method=rs-dib"]);
    over(TWO_BY_TWO, both, &[see, "train.method=dlsc", "train.credit=own"]);
}

#[test]
fn of_requests_that_go_by_the_strength_of_links() {
    let strongest = ["train.requests=strongest", "evaluation.draw=tick", "network.receiver_limit=1"];
    over(TWO_BY_TWO, "kind=\"rayleigh\",snr_db=5", &strongest);
    over(
        THREE_BY_TWO,
        "kind=\"rayleigh\",snr_db=[0,9]",
        &[&strongest[..2], &["network.see_channel=true"]].concat(),
    );
}

#[test]
fn of_features_whose_power_is_limited_on_average() {
    let average = "kind=\"rayleigh\",snr_db=5,power=\"average\"";
    over(TWO_BY_TWO, average, &[]);
    over(
        TIGHTLY_CAPPED,
        average,
        &["train.rate_at=received", "train.ticks_per_round=13", "train.ticks_per_part=10"],
    );
}

#[test]
fn a_round_moves_the_mean_of_an_entrys_power_by_a_tenth_towards_its_own() {
    let set = ["train.beta=0.5", "channel=[{kind=\"awgn\",snr_db=5,power=\"average\"}]"];
    let setup = toy(TIGHTLY_CAPPED, &set);
    on_one_thread(|| {
        let played = PlayedRound::play(&setup, Start::Unsettled);
        let oracle = Oracle::new(&setup, played.round, &played.before).unwrap();
        let granted = played.granted(&setup);
        let after = tensors(&played.network.snapshots[&(played.round + 1)]);
        let mut moved = 0;
        for k in 0..2 {
            let means: Vec<Vec<f32>> = after[&format!("transmitter{k}/power.mean")].to_vec2().unwrap();
            for (m, means) in means.iter().enumerate() {
                for (t, &mean) in means.iter().enumerate() {
                    let ticks: Vec<usize> =
                        (0..granted[t].len()).filter(|&tick| granted[t][tick].contains(&(k, m))).collect();
                    let expected = if ticks.is_empty() {
                        1.7
                    } else {
                        moved += 1;
                        1.7 + 0.1 * (power_of(&oracle, [k, t, m], &ticks) - 1.7)
                    };
                    assert!(
                        (f64::from(mean) - expected).abs() < 1e-5 * expected,
                        "{k} {m} {t}: {mean}, {expected}"
                    );
                }
            }
        }
        assert!(moved > 1, "hardly anything was sent");
    });
}

/// The mean power of a symbol of an entry before it is scaled, over the ticks at which it is sent.
fn power_of(oracle: &Oracle<'_>, [k, t, m]: [usize; 3], ticks: &[usize]) -> f64 {
    let of_tick = |&tick: &usize| {
        let (mu, std) = oracle.encode(k, t, m, tick).unwrap().posterior.unwrap();
        let of_value = (mu.sqr().unwrap() + std.sqr().unwrap()).unwrap().mean_all().unwrap();
        2.0 * of_value.to_scalar::<f64>().unwrap()
    };
    ticks.iter().map(of_tick).sum::<f64>() / ticks.len() as f64
}

/// A kind of channel that a program adds: z' = tanh(z) + n, where n is normal with this deviation.
struct Bend {
    seed: Seed,
    deviation: f64,
}

impl Channel<f32> for Bend {
    fn send(&self, crossing: &Crossing, features: &mut [f32]) -> dib::Result<()> {
        let mut draws = crossing.draws(self.seed);
        for value in features {
            *value = (f64::from(*value).tanh() + self.deviation * draws.normal()) as f32;
        }
        Ok(())
    }

    fn pull_back(&self, _: &Crossing, sent: &[f32], gradient: &mut [f32]) -> dib::Result<()> {
        for (value, sent) in gradient.iter_mut().zip(sent) {
            *value *= 1.0 - sent.tanh().powi(2);
        }
        Ok(())
    }

    fn keeps_sent(&self) -> bool {
        true
    }
}

#[test]
fn of_features_over_a_channel_of_a_users_program_that_distorts() {
    static ADDED: Once = Once::new();
    ADDED.call_once(|| {
        let build = |wanted: &node::WantedChannel| {
            let deviation = wanted.key("deviation")?.ok_or("deviation is missing")?;
            Ok(Arc::new(Bend { seed: wanted.seed, deviation }) as Arc<dyn Channel<f32>>)
        };
        node::register_channel("bend", Arc::new(build)).unwrap();
    });
    let bend = "kind=\"bend\",parameters={deviation=0.3}";
    over(TWO_BY_TWO, bend, &[]);
    over(TWO_BY_TWO, &format!("transmitter=1,power=\"entry\",{bend}"), &["train.rate_estimator=joint"]);
    let parts = ["train.ticks_per_round=13", "train.ticks_per_part=10"];
    over(TIGHTLY_CAPPED, &format!("power=\"realised\",{bend}"), &parts);
    over(TWO_BY_TWO, bend, &["train.samples_per_tick=1", "train.ticks_per_round=6", "train.method=dlsc"]);
    // Beside a link whose rate of what arrives is known, and with packets that are lost.
    let channels = format!("kind=\"rayleigh\",snr_db=5}},{{transmitter=1,{bend}");
    over(THREE_BY_TWO, &channels, &["straggler.policy=skip", "link=[{loss=0.4}]"]);
}

#[test]
fn of_features_that_are_heard_together() {
    over(TWO_BY_TWO, "kind=\"mac\",snr_db=5", &[]);
    over(THREE_BY_TWO, "kind=\"mac\",snr_db=5,block=\"sample\",power=\"entry\"", &["train.method=tadib"]);
    // One of three is heard alone.
    let channels = "kind=\"mac\",snr_db=5},{transmitter=1,kind=\"awgn\",snr_db=3";
    over(
        THREE_BY_TWO,
        channels,
        &["train.ticks_per_round=13", "train.ticks_per_part=10", "network.receiver_limit=3"],
    );
}
