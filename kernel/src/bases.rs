//! Products by the points of one system, for one key or for many.

use crate::bulk::in_parallel;
use crate::combs::{Comb1, Comb2};
use crate::points::{Scalar, G1, G2};
use crate::wkdibe::Params;

/// Keys from which on a bulk repays the combs of its system.
const COMBED_KEYS_MIN: usize = 32;

/// Makes powers of the points of a system for many keys.
pub struct Bulk<'a> {
    params: &'a Params,
    combs: Option<(Comb2, Option<Comb1>, Vec<Comb1>)>,
}

impl<'a> Bulk<'a> {
    /// For a few keys, which do not repay combs.
    pub fn plain(params: &'a Params) -> Self {
        Self {
            params,
            combs: None,
        }
    }

    /// For `count` keys.
    pub fn of(params: &'a Params, count: usize) -> Self {
        if count < COMBED_KEYS_MIN {
            return Self::plain(params);
        }
        let firsts: Vec<G1> = params.h.iter().copied().chain(params.hsig).collect();
        let mut combs = in_parallel(&firsts, Comb1::of);
        let hsig = params.hsig.and_then(|_| combs.pop());
        Self {
            params,
            combs: Some((Comb2::of(&params.g), hsig, combs)),
        }
    }

    pub fn params(&self) -> &'a Params {
        self.params
    }

    pub fn g(&self, power: &Scalar) -> G2 {
        match &self.combs {
            Some((g, _, _)) => g.mul(power),
            None => self.params.g.mul(power),
        }
    }

    pub fn hsig(&self, power: &Scalar) -> Option<G1> {
        match &self.combs {
            Some((_, hsig, _)) => hsig.as_ref().map(|comb| comb.mul(power)),
            None => self.params.hsig.map(|hsig| hsig.mul(power)),
        }
    }

    pub fn h(&self, slot: usize, power: &Scalar) -> G1 {
        match &self.combs {
            Some((_, _, h)) => h[slot].mul(power),
            None => self.params.h[slot].mul(power),
        }
    }
}
