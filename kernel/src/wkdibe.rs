//! WKD-IBE, "OAQUE" in WAVE's words (crypto.md 3). Every formula takes its scalars as arguments, so
//! that vectors can be checked bit for bit; the callers in `bindings` draw them at random.

use zeroize::Zeroize;

use std::sync::OnceLock;

use crate::bases::Bulk;
use crate::combs::Comb2;
use crate::gt::{generator_power, Gt, Miller, PowerComb, GT_BYTES};
use crate::multiples::Multiples;
use crate::points::{normalize, PointError, Scalar, G1, G1_COMPRESSED, G2, G2_COMPRESSED};

/// A fixed slot and its value in Zp.
pub type Attribute = (usize, Scalar);

/// Why bytes are not an object of this scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    Length,
    Flag,
    SlotOrder,
    Point(PointError),
    Target,
}

impl DecodeError {
    pub fn text(self) -> &'static str {
        match self {
            DecodeError::Length => "the length does not fit the structure",
            DecodeError::Flag => "the signature flag is neither 0 nor 1",
            DecodeError::SlotOrder => "free slots are not in ascending order",
            DecodeError::Point(error) => error.text(),
            DecodeError::Target => {
                "an element of the target group is not canonical, not in it, or not the right one"
            }
        }
    }
}

impl From<PointError> for DecodeError {
    fn from(error: PointError) -> Self {
        DecodeError::Point(error)
    }
}

/// Public parameters of one system.
#[derive(Clone)]
pub struct Params {
    pub g: G2,
    pub g1: G2,
    pub g2: G1,
    pub g3: G1,
    pub hsig: Option<G1>,
    pub h: Vec<G1>,
    multiples: OnceLock<Multiples>,
    /// Of e(g2, g1); made at the first encryption.
    powers: OnceLock<PowerComb>,
    /// Of g; made when a target of the system is first encrypted to.
    comb: OnceLock<Comb2>,
}

/// The master key; wiped when dropped.
pub struct MasterKey(pub G1);

impl Drop for MasterKey {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

pub fn wipe(point: &mut G1) {
    point.0.x.l.zeroize();
    point.0.y.l.zeroize();
    point.0.z.l.zeroize();
}

/// A key for a pattern; slots listed in `free` can still be fixed by its holder.
pub struct SecretKey {
    pub a0: G1,
    pub a1: G2,
    pub bsig: Option<G1>,
    pub free: Vec<(u32, G1)>,
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        wipe(&mut self.a0);
        if let Some(bsig) = &mut self.bsig {
            wipe(bsig);
        }
        for (_, point) in &mut self.free {
            wipe(point);
        }
    }
}

pub struct Ciphertext {
    pub a: Gt,
    pub b: G2,
    pub c: G1,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        if self.0.len() < count {
            return Err(DecodeError::Length);
        }
        let (head, tail) = self.0.split_at(count);
        self.0 = tail;
        Ok(head)
    }
    fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.take(1)?[0] {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Flag),
        }
    }
    fn g1(&mut self, compressed: bool) -> Result<G1, DecodeError> {
        Ok(if compressed {
            G1::from_compressed(self.take(G1_COMPRESSED)?)?
        } else {
            G1::from_uncompressed(self.take(2 * G1_COMPRESSED)?)?
        })
    }
    fn g2(&mut self, compressed: bool) -> Result<G2, DecodeError> {
        Ok(if compressed {
            G2::from_compressed(self.take(G2_COMPRESSED)?)?
        } else {
            G2::from_uncompressed(self.take(2 * G2_COMPRESSED)?)?
        })
    }
}

fn put_g1(out: &mut Vec<u8>, point: &G1, compressed: bool) {
    if compressed {
        out.extend_from_slice(&point.to_compressed());
    } else {
        out.extend_from_slice(&point.to_uncompressed());
    }
}

fn put_g2(out: &mut Vec<u8>, point: &G2, compressed: bool) {
    if compressed {
        out.extend_from_slice(&point.to_compressed());
    } else {
        out.extend_from_slice(&point.to_uncompressed());
    }
}

impl Params {
    pub fn from_scalars(
        alpha: &Scalar,
        g: G2,
        g2: G1,
        g3: G1,
        hsig: G1,
        h: Vec<G1>,
    ) -> (Self, MasterKey) {
        let master = MasterKey(g2.mul(alpha));
        let g1 = g.mul(alpha);
        (
            Self {
                g,
                g1,
                g2,
                g3,
                hsig: Some(hsig),
                h,
                multiples: OnceLock::new(),
                powers: OnceLock::new(),
                comb: OnceLock::new(),
            },
            master,
        )
    }

    pub fn from_bytes(bytes: &[u8], compressed: bool) -> Result<Self, DecodeError> {
        let mut reader = Reader(bytes);
        let has_signature = reader.flag()?;
        let (g, g1) = (reader.g2(compressed)?, reader.g2(compressed)?);
        let (g2, g3) = (reader.g1(compressed)?, reader.g1(compressed)?);
        // Canonical bytes are compared, so there is no need to decode them.
        if !compressed
            && reader.take(GT_BYTES)? != Miller::of(&g2, &g1).finish().to_bytes().as_slice()
        {
            return Err(DecodeError::Target);
        }
        let hsig = if has_signature {
            Some(reader.g1(compressed)?)
        } else {
            None
        };
        let mut h = Vec::new();
        while !reader.0.is_empty() {
            h.push(reader.g1(compressed)?);
        }
        Ok(Self {
            g,
            g1,
            g2,
            g3,
            hsig,
            h,
            multiples: OnceLock::new(),
            powers: OnceLock::new(),
            comb: OnceLock::new(),
        })
    }

    pub fn to_bytes(&self, compressed: bool) -> Vec<u8> {
        let mut out = vec![u8::from(self.hsig.is_some())];
        put_g2(&mut out, &self.g, compressed);
        put_g2(&mut out, &self.g1, compressed);
        put_g1(&mut out, &self.g2, compressed);
        put_g1(&mut out, &self.g3, compressed);
        if !compressed {
            out.extend_from_slice(&Miller::of(&self.g2, &self.g1).finish().to_bytes());
        }
        if let Some(hsig) = &self.hsig {
            put_g1(&mut out, hsig, compressed);
        }
        for point in &self.h {
            put_g1(&mut out, point, compressed);
        }
        out
    }

    /// Q(attrs) of crypto.md 3.1. Slots must be below `h.len()`.
    pub fn q(&self, attributes: &[Attribute]) -> G1 {
        self.multiples
            .get_or_init(|| Multiples::new(&self.h))
            .sum(attributes)
            .add(&self.g3)
    }

    /// Powers of e(g2, g1).
    pub fn powers(&self) -> &PowerComb {
        self.powers
            .get_or_init(|| PowerComb::of(&Miller::of(&self.g2, &self.g1).finish()))
    }

    /// Multiples of g.
    pub fn comb(&self) -> &Comb2 {
        self.comb.get_or_init(|| Comb2::of(&self.g))
    }

    /// Encrypts the target-group element e(k*G1, G2); returns it and the ciphertext.
    pub fn encrypt(&self, attributes: &[Attribute], k: &Scalar, s: &Scalar) -> (Gt, Ciphertext) {
        let message = generator_power(k);
        let ciphertext = Ciphertext {
            a: self.powers().mul(s).times(&message),
            b: self.g.mul(s),
            c: self.q(attributes).mul(s),
        };
        (message, ciphertext)
    }
}

impl MasterKey {
    /// KeyGen with the given rho.
    pub fn derive(&self, params: &Params, attributes: &[Attribute], rho: &Scalar) -> SecretKey {
        self.derive_in(&Bulk::plain(params), attributes, rho)
    }

    /// The same for one of many keys.
    pub fn derive_in(&self, bulk: &Bulk, attributes: &[Attribute], rho: &Scalar) -> SecretKey {
        let free = free_slots(bulk.params(), attributes)
            .map(|slot| (slot as u32, bulk.h(slot, rho)))
            .collect();
        SecretKey {
            a0: bulk.params().q(attributes).mul(rho).add(&self.0),
            a1: bulk.g(rho),
            bsig: bulk.hsig(rho),
            free,
        }
        .normalized()
    }

    /// NonDelegableKeyGen: KeyGen with rho = 1.
    pub fn derive_nondelegable(&self, params: &Params, attributes: &[Attribute]) -> SecretKey {
        SecretKey {
            a0: params.q(attributes).add(&self.0),
            a1: params.g,
            bsig: params.hsig,
            free: free_slots(params, attributes)
                .map(|slot| (slot as u32, params.h[slot]))
                .collect(),
        }
    }

    pub fn decrypt(&self, ciphertext: &Ciphertext) -> Gt {
        Miller::of(&self.0.neg(), &ciphertext.b)
            .finish()
            .times(&ciphertext.a)
    }
}

fn free_slots<'a>(params: &'a Params, fixed: &'a [Attribute]) -> impl Iterator<Item = usize> + 'a {
    (0..params.h.len()).filter(|slot| !fixed.iter().any(|(taken, _)| taken == slot))
}

impl SecretKey {
    pub fn from_bytes(bytes: &[u8], compressed: bool) -> Result<Self, DecodeError> {
        let mut reader = Reader(bytes);
        let has_signature = reader.flag()?;
        let a0 = reader.g1(compressed)?;
        let a1 = reader.g2(compressed)?;
        let bsig = if has_signature {
            Some(reader.g1(compressed)?)
        } else {
            None
        };
        let mut free: Vec<(u32, G1)> = Vec::new();
        while !reader.0.is_empty() {
            let point = reader.g1(compressed)?;
            let mut index = [0u8; 4];
            index.copy_from_slice(reader.take(4)?);
            let slot = u32::from_be_bytes(index);
            if free.last().is_some_and(|(last, _)| *last >= slot) {
                return Err(DecodeError::SlotOrder);
            }
            free.push((slot, point));
        }
        Ok(Self { a0, a1, bsig, free })
    }

    pub fn to_bytes(&self, compressed: bool) -> Vec<u8> {
        let mut out = vec![u8::from(self.bsig.is_some())];
        put_g1(&mut out, &self.a0, compressed);
        put_g2(&mut out, &self.a1, compressed);
        if let Some(bsig) = &self.bsig {
            put_g1(&mut out, bsig, compressed);
        }
        for (slot, point) in &self.free {
            put_g1(&mut out, point, compressed);
            out.extend_from_slice(&slot.to_be_bytes());
        }
        out
    }

    /// a0 plus attr*b for every attribute whose slot is still free here.
    fn fixed_a0(&self, attributes: &[Attribute]) -> G1 {
        let mut points = Vec::new();
        let mut terms = Vec::new();
        for (slot, value) in attributes {
            if let Some((_, point)) = self.free.iter().find(|(free, _)| *free as usize == *slot) {
                terms.push((points.len(), value.clone()));
                points.push(*point);
            }
        }
        Multiples::new(&points).sum(&terms).add(&self.a0)
    }

    fn still_free<'a>(
        &'a self,
        attributes: &'a [Attribute],
    ) -> impl Iterator<Item = &'a (u32, G1)> {
        self.free
            .iter()
            .filter(|(slot, _)| !attributes.iter().any(|(fixed, _)| *fixed == *slot as usize))
    }

    fn normalized(mut self) -> Self {
        let mut points: Vec<&mut G1> = vec![&mut self.a0];
        points.extend(self.bsig.as_mut());
        points.extend(self.free.iter_mut().map(|(_, point)| point));
        normalize(&mut points);
        self
    }

    /// Whether every slot that is fixed here is fixed by the attributes too.
    pub fn is_within(&self, params: &Params, attributes: &[Attribute]) -> bool {
        free_slots(params, attributes)
            .all(|slot| self.free.iter().any(|(free, _)| *free as usize == slot))
    }

    /// QualifyKey with the given t; `attributes` must contain every slot fixed here.
    pub fn qualify(&self, params: &Params, attributes: &[Attribute], t: &Scalar) -> SecretKey {
        self.qualify_in(&Bulk::plain(params), attributes, t)
    }

    /// The same for one of many keys.
    pub fn qualify_in(&self, bulk: &Bulk, attributes: &[Attribute], t: &Scalar) -> SecretKey {
        let params = bulk.params();
        debug_assert!(self.is_within(params, attributes));
        SecretKey {
            a0: self.fixed_a0(attributes).add(&params.q(attributes).mul(t)),
            a1: self.a1.add(&bulk.g(t)),
            bsig: self
                .bsig
                .zip(bulk.hsig(t))
                .map(|(bsig, added)| bsig.add(&added)),
            free: self
                .still_free(attributes)
                .filter(|(slot, _)| (*slot as usize) < params.h.len())
                .map(|(slot, point)| (*slot, point.add(&bulk.h(*slot as usize, t))))
                .collect(),
        }
        .normalized()
    }

    /// NonDelegableQualifyKey: QualifyKey with t = 0.
    pub fn qualify_nondelegable(&self, attributes: &[Attribute]) -> SecretKey {
        SecretKey {
            a0: self.fixed_a0(attributes),
            a1: self.a1,
            bsig: self.bsig,
            free: self.still_free(attributes).copied().collect(),
        }
    }

    /// Decrypts; the fixed slots must be exactly the ciphertext's attributes.
    pub fn decrypt(&self, ciphertext: &Ciphertext) -> Gt {
        Miller::of(&ciphertext.c, &self.a1)
            .times(&Miller::of(&self.a0.neg(), &ciphertext.b))
            .finish()
            .times(&ciphertext.a)
    }

    /// Sign of crypto.md 3.2, with the given s.
    pub fn sign(
        &self,
        params: &Params,
        attributes: &[Attribute],
        m: &Scalar,
        s: &Scalar,
    ) -> Option<(G1, G2)> {
        let (bsig, hsig) = self.bsig.zip(params.hsig)?;
        let masked = params.q(attributes).add(&hsig.mul(m)).mul(s);
        Some((
            self.fixed_a0(attributes).add(&bsig.mul(m)).add(&masked),
            self.a1.add(&params.g.mul(s)),
        ))
    }
}

impl Params {
    /// Verify of crypto.md 3.2.
    pub fn verify(&self, attributes: &[Attribute], m: &Scalar, signature: &(G1, G2)) -> bool {
        let Some(hsig) = self.hsig else { return false };
        let masked = self.q(attributes).add(&hsig.mul(m)).neg();
        let left = Miller::of(&signature.0, &self.g).times(&Miller::of(&masked, &signature.1));
        left.finish().to_bytes() == Miller::of(&self.g2, &self.g1).finish().to_bytes()
    }
}

impl Ciphertext {
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader(bytes);
        let a = Gt::from_bytes(reader.take(GT_BYTES)?).ok_or(DecodeError::Target)?;
        let (b, c) = (reader.g2(true)?, reader.g1(true)?);
        if reader.0.is_empty() {
            Ok(Self { a, b, c })
        } else {
            Err(DecodeError::Length)
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.a.to_bytes().to_vec();
        put_g2(&mut out, &self.b, true);
        put_g1(&mut out, &self.c, true);
        out
    }
}
