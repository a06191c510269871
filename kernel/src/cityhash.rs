//! CityHash128 v1.1, which names proofs on the wire (wavemq.md 5). Not a cryptographic hash.

const K0: u64 = 0xc3a5_c85c_97cb_3127;
const K1: u64 = 0xb492_b66f_be98_f273;
const K2: u64 = 0x9ae1_6a3b_2f90_404f;
const K_MUL: u64 = 0x9ddf_ea08_eb38_2d69;

fn fetch64(data: &[u8], at: usize) -> u64 {
    let mut word = [0u8; 8];
    word.copy_from_slice(&data[at..at + 8]);
    u64::from_le_bytes(word)
}

fn fetch32(data: &[u8], at: usize) -> u64 {
    let mut word = [0u8; 4];
    word.copy_from_slice(&data[at..at + 4]);
    u64::from(u32::from_le_bytes(word))
}

fn shift_mix(value: u64) -> u64 {
    value ^ (value >> 47)
}

fn mix(u: u64, v: u64, mul: u64) -> u64 {
    let a = shift_mix((u ^ v).wrapping_mul(mul));
    shift_mix((v ^ a).wrapping_mul(mul)).wrapping_mul(mul)
}

fn mix16(u: u64, v: u64) -> u64 {
    mix(u, v, K_MUL)
}

fn short(data: &[u8]) -> u64 {
    let len = data.len();
    let mul = K2.wrapping_add((len as u64).wrapping_mul(2));
    if len >= 8 {
        let a = fetch64(data, 0).wrapping_add(K2);
        let b = fetch64(data, len - 8);
        let c = b.rotate_right(37).wrapping_mul(mul).wrapping_add(a);
        let d = a.rotate_right(25).wrapping_add(b).wrapping_mul(mul);
        return mix(c, d, mul);
    }
    if len >= 4 {
        return mix(
            (len as u64).wrapping_add(fetch32(data, 0) << 3),
            fetch32(data, len - 4),
            mul,
        );
    }
    if len > 0 {
        let y = u64::from(data[0]) + (u64::from(data[len >> 1]) << 8);
        let z = len as u64 + (u64::from(data[len - 1]) << 2);
        return shift_mix(y.wrapping_mul(K2) ^ z.wrapping_mul(K0)).wrapping_mul(K2);
    }
    K2
}

fn weak(data: &[u8], at: usize, a: u64, b: u64) -> (u64, u64) {
    let z = fetch64(data, at + 24);
    let a = a.wrapping_add(fetch64(data, at));
    let b = b.wrapping_add(a).wrapping_add(z).rotate_right(21);
    let c = a;
    let a = a
        .wrapping_add(fetch64(data, at + 8))
        .wrapping_add(fetch64(data, at + 16));
    let b = b.wrapping_add(a.rotate_right(44));
    (a.wrapping_add(z), b.wrapping_add(c))
}

fn murmur(data: &[u8], seed: (u64, u64)) -> (u64, u64) {
    let len = data.len();
    let (mut a, mut b) = seed;
    let (mut c, mut d);
    if len <= 16 {
        a = shift_mix(a.wrapping_mul(K1)).wrapping_mul(K1);
        c = b.wrapping_mul(K1).wrapping_add(short(data));
        d = shift_mix(a.wrapping_add(if len >= 8 { fetch64(data, 0) } else { c }));
    } else {
        c = mix16(fetch64(data, len - 8).wrapping_add(K1), a);
        d = mix16(
            b.wrapping_add(len as u64),
            c.wrapping_add(fetch64(data, len - 16)),
        );
        a = a.wrapping_add(d);
        let mut at = 0;
        let mut left = len as i64 - 16;
        while left > 0 {
            a ^= shift_mix(fetch64(data, at).wrapping_mul(K1)).wrapping_mul(K1);
            a = a.wrapping_mul(K1);
            b ^= a;
            c ^= shift_mix(fetch64(data, at + 8).wrapping_mul(K1)).wrapping_mul(K1);
            c = c.wrapping_mul(K1);
            d ^= c;
            at += 16;
            left -= 16;
        }
    }
    let (a, b) = (mix16(a, c), mix16(d, b));
    (a ^ b, mix16(b, a))
}

fn with_seed(data: &[u8], seed: (u64, u64)) -> (u64, u64) {
    if data.len() < 128 {
        return murmur(data, seed);
    }
    let mut left = data.len();
    let (mut x, mut y) = seed;
    let mut z = (left as u64).wrapping_mul(K1);
    let mut v = (0u64, 0u64);
    let mut w = (0u64, 0u64);
    v.0 = (y ^ K1)
        .rotate_right(49)
        .wrapping_mul(K1)
        .wrapping_add(fetch64(data, 0));
    v.1 =
        v.0.rotate_right(42)
            .wrapping_mul(K1)
            .wrapping_add(fetch64(data, 8));
    w.0 = y
        .wrapping_add(z)
        .rotate_right(35)
        .wrapping_mul(K1)
        .wrapping_add(x);
    w.1 = x
        .wrapping_add(fetch64(data, 88))
        .rotate_right(53)
        .wrapping_mul(K1);
    let mut at = 0;
    while left >= 128 {
        for _ in 0..2 {
            x = x
                .wrapping_add(y)
                .wrapping_add(v.0)
                .wrapping_add(fetch64(data, at + 8));
            x = x.rotate_right(37).wrapping_mul(K1);
            y = y.wrapping_add(v.1).wrapping_add(fetch64(data, at + 48));
            y = y.rotate_right(42).wrapping_mul(K1);
            x ^= w.1;
            y = y.wrapping_add(v.0).wrapping_add(fetch64(data, at + 40));
            z = z.wrapping_add(w.0).rotate_right(33).wrapping_mul(K1);
            v = weak(data, at, v.1.wrapping_mul(K1), x.wrapping_add(w.0));
            w = weak(
                data,
                at + 32,
                z.wrapping_add(w.1),
                y.wrapping_add(fetch64(data, at + 16)),
            );
            std::mem::swap(&mut z, &mut x);
            at += 64;
        }
        left -= 128;
    }
    x = x.wrapping_add(v.0.wrapping_add(z).rotate_right(49).wrapping_mul(K0));
    y = y.wrapping_mul(K0).wrapping_add(w.1.rotate_right(37));
    z = z.wrapping_mul(K0).wrapping_add(w.0.rotate_right(27));
    w.0 = w.0.wrapping_mul(9);
    v.0 = v.0.wrapping_mul(K0);
    let mut done = 0;
    while done < left {
        done += 32;
        let start = at + left - done; // reaches back into bytes already hashed; at >= 128 here
        y = x
            .wrapping_add(y)
            .rotate_right(42)
            .wrapping_mul(K0)
            .wrapping_add(v.1);
        w.0 = w.0.wrapping_add(fetch64(data, start + 16));
        x = x.wrapping_mul(K0).wrapping_add(w.0);
        z = z.wrapping_add(w.1).wrapping_add(fetch64(data, start));
        w.1 = w.1.wrapping_add(v.0);
        v = weak(data, start, v.0.wrapping_add(z), v.1);
        v.0 = v.0.wrapping_mul(K0);
    }
    x = mix16(x, v.0);
    y = mix16(y.wrapping_add(z), w.0);
    (
        mix16(x.wrapping_add(v.1), w.1).wrapping_add(y),
        mix16(x.wrapping_add(w.1), y.wrapping_add(v.1)),
    )
}

/// Returns the low and the high half.
pub fn cityhash128(data: &[u8]) -> (u64, u64) {
    if data.len() >= 16 {
        let seed = (fetch64(data, 0), fetch64(data, 8).wrapping_add(K0));
        with_seed(&data[16..], seed)
    } else {
        with_seed(data, (K0, K1))
    }
}
