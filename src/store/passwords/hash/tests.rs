use proptest::prelude::*;

use super::*;

const PASSWORD: &str = "pässwörd 1";

/// Made by the programs themselves for "pässwörd 1", but where another password stands beside it.
const HTPASSWD: &[(&str, &str)] = &[
    // htpasswd 2.4.71: -nb with -B, -m, -s, -2, -5.
    ("$2y$05$yLFmcvLrWxiZPkQY9BZyreFgFdP2a4xA0HFXiVgB9aosFNAqZQBW.", PASSWORD),
    ("$apr1$fL0/jjOs$TgZenEfpPIR1pbKZB92j4.", PASSWORD),
    ("{SHA}/Hrn08gEogcgvDjo5YNQSGibZVE=", PASSWORD),
    ("$5$KJkXoRqrt9MSiqab$aS81HCU3e/6qFNe321hpTf.6RN/QWyQnAwbLBvDEWb.", PASSWORD),
    ("$6$Ecm67kJRdcwjNI/w$DRZ2s8d1bffcDwAFI9d0subJPpS1P6hHVBYVU96iXk1jeq28/YlJK7sldozV.4h2mfs1H6lwaeQpffJh2Ghcw.", PASSWORD),
    // htpasswd -nb -B -C 10 and -nb -5 -r 10000.
    ("$2y$10$tAN3cmwK/I3XBuWrSCqxZuNFiAMj9VDTIP4wwu1O9kfLfjxWIvmca", "correct horse"),
    ("$6$rounds=10000$ECyRif9w5PZCEDuW$mrWRe.KvjFEPxWAmUHXMjxwJuDqzv8nhuKA2X771JQt7N3.O/POsdCGuot/JEUHx16CdH66LG8kxyuDDTc9sX/", "correct horse"),
    // OpenSSL 3.0.22: passwd -apr1, -1, -5, -6.
    ("$apr1$abcdefgh$sIQmFnT1CuEXAsyjuXjUX/", "correct horse"),
    ("$apr1$abcdefgh$G8IsPsylW5ROvIKsQMRG61", "a"),
    ("$apr1$abcdefgh$nu4xo8DhvINYVm8VkeRpZ0", "0123456789abcdef0123456789abcdef0123456789"),
    ("$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie.", ""),
    ("$1$abcdefgh$y6iHhJNbuC0xpbk0w9pm80", "correct horse"),
    ("$1$ab$rn6aQS/o7141mj179E/zA.", ""),
    ("$1$$Ij31LCAysPM23KuPlm1wA/", "a"),
    ("$5$abcdefghijkl$25pbgxycniCmu4Jsku/EpubmV.UoGxrEuRtD3SCiGH7", "correct horse"),
    ("$6$ab$/PzCrRVMmcIPg399m0GjJEW7Is3nwj.HV3N4NLJLXwzwzPszJ55Jq.eFpjcqBciAH7lx4yAws1nleGIpiHDt91", "a"),
    ("$6$rounds=1000$KJkX$7DfylU.K/fSJ6XeU0yntPiD9m1i6IYRE3W3WvC0pUKoJMIQmBgpHFniYudrD9oU42qfCsoznzjRI5CcNxtYyr/", PASSWORD),
    // crypt(3) of libxcrypt 4.4, for salts and passwords of the test vectors in "Unix crypt using SHA-256 and SHA-512".
    ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"),
    ("$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA", "Hello world!"),
    ("$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", "Hello world!"),
];

/// Made by Django 5.2.19 with argon2-cffi 25.1.0 and bcrypt 5.0.0: `HASHER().encode("pässwörd 1", SALT)`.
const DJANGO: &[&str] = &[
    "pbkdf2_sha256$1000000$Qk3vS0dJ1yZ2abcdefghij$/8uBR7tRGcsqMIVmkMclyZhuAwfwnd3thYYIXR6OeF8=",
    "pbkdf2_sha256$600$Qk3vS0dJ1yZ2$46tXpyvhkMNdzgZwsIGTphqrGYOKJdEaszMWrpG8B0U=",
    "pbkdf2_sha1$600$Qk3vS0dJ1yZ2$xyFt6XQW/LZSgINU/ADWHURowqA=",
    "argon2$argon2id$v=19$m=102400,t=2,p=8$UWszdlMwZEoxeVoyYWJjZGVmZ2hpag$w2kzpXXzDoCKsD8t5Gx2UcNQpa9Zm4YEiSIIur2kJ4o",
    "bcrypt_sha256$$2b$05$WV8aUYO6g0PYU8BbxU1geeltlxQrl9eANO8fKWSqXB2BpMaxxprVy",
    "bcrypt$$2b$05$y.8XpMUj2Q3FWgRde08eaOBUzq9a7/41T1VczcqaUCHsKdQ5H.o/a",
    "scrypt$16384$Qk3vS0dJ1yZ2abcdefghij$8$5$5kDpw2atMAeVZDYspe23NProt0/DKLbJhq2LMzaqUerrVFufQ1XhaXeoscBa8Jy/bl/ro0yOI6YsCZxKa/kczA==",
    "scrypt$16$Qk3vS0dJ1yZ2$8$1$faJOevzlyemf7znLjpa3XOcCcSqpUMvAEKYO5+T+KHHT+P8LE+BXY2vv/LPhfH2o9fB6GvYFbtIlfJ+8k84opQ==",
    // argon2.low_level.hash_secret of argon2-cffi: types I, D and ID, and version 16.
    "argon2$argon2i$v=19$m=64,t=1,p=2$UWszdlMwZEoxeVoy$A+6fGtGBBjzQiXcjKudvfr6ujl6CGocT1MOPSftT2TI",
    "argon2$argon2d$v=19$m=64,t=1,p=2$UWszdlMwZEoxeVoy$RQq0kiJtuZPCBiWDFbmyBQTj8kQ8be21CX/g6VRPW7o",
    "argon2$argon2id$v=19$m=64,t=1,p=2$UWszdlMwZEoxeVoy$P2UnUJLMA36vqgua2jEBqj65VbbudxRWDOdNxsBadHc",
    "argon2$argon2i$v=16$m=64,t=1,p=1$UWszdlMwZEoxeVoy$AU1gkbHvnr6chkgvwIaYcg",
];

fn hash(form: Form, text: &str) -> Hash {
    match read(form, text) {
        Ok(Reading::Hash(hash)) => hash,
        other => panic!("{text}: {other:?}"),
    }
}

/// Whether the hash fits `password`, and no password that is nearly the same: of one that costs much, one such alone.
fn fits_this_alone(hash: &Hash, password: &str, what: &str) {
    assert!(hash.fits(password.as_bytes()).unwrap(), "{what}");
    if what.contains("$1000000$") || what.contains("m=102400") || what.contains("$16384$") {
        return assert!(!hash.fits(b"another").unwrap(), "{what}");
    }
    let mut others = vec![format!("{password}x"), format!(" {password}"), password.to_uppercase() + "!"];
    others.extend(password.char_indices().last().map(|(at, _)| password[..at].to_owned()));
    for other in others {
        assert!(!hash.fits(other.as_bytes()).unwrap(), "{what}: {other}");
    }
}

#[test]
fn hashes_that_htpasswd_and_openssl_made_fit_their_password_alone() {
    for (text, password) in HTPASSWD {
        fits_this_alone(&hash(Form::Htpasswd, text), password, text);
    }
}

#[test]
fn hashes_that_django_made_fit_their_password_alone() {
    for text in DJANGO {
        fits_this_alone(&hash(Form::Django, text), PASSWORD, text);
    }
}

#[test]
fn traditional_crypt_looks_at_eight_characters() {
    // Made by crypt(3) of libxcrypt 4.4.
    for (text, fitting, others) in [
        ("abhfCpXqd4GrI", &["correct horse", "correct ", "correct x"][..], &["correct", "Correct horse", ""][..]),
        ("./xT2u5QYaHcU", &["a"], &["b", "", "aa"]),
        ("zZO7u0HfQST3A", &[""], &["a", " "]),
        ("9kdzPImzIS5s2", &[PASSWORD, "pässwö"], &["passwörd 1", "pässw", "PÄSSWÖRD 1"]),
        ("xyaL4T4Q4M4pU", &["12345678", "123456789"], &["1234567", "12345679"]),
    ] {
        let hash = hash(Form::Htpasswd, text);
        assert!(hash.kind().is_weak());
        for (passwords, fits) in [(fitting, true), (others, false)] {
            for password in passwords {
                assert_eq!(hash.fits(password.as_bytes()).unwrap(), fits, "{text} {password:?}");
            }
        }
        let another = text.replace(&text[5..6], if &text[5..6] == "x" { "y" } else { "x" });
        assert!(!self::hash(Form::Htpasswd, &another).fits(fitting[0].as_bytes()).unwrap());
    }
}

#[test]
fn long_passwords_are_hashed_as_crypt_does() {
    let long = "a".repeat(100);
    // Made by crypt(3) of libxcrypt 4.4: of bcrypt's password it takes 72 bytes.
    for (text, password) in [
        ("$1$abcdefgh$PMYmUtA3DUw85XNTjARVj0", long.as_str()),
        ("$6$rounds=1000$abcdefgh$AYigbJeUzWF2evoaJHGt2sxJNuXb.Tzn.LmCAE9SQ7C1W2eAfvbAsH5dF5wPgIa1dsLePomAxgfjwmhbrx3jR.", &long),
        ("$5$rounds=1000$abcdefgh$kdatgb6YNZp.SUWJF9OFgVtBlW6v3RAYs1TBcggI.E1", &long),
        ("$2b$04$abcdefghijklmnopqrstuuBzzIgyKkz7xMWYSzkIjUSnxEQFQ0WNe", &long),
        ("$2a$04$abcdefghijklmnopqrstuuBzzIgyKkz7xMWYSzkIjUSnxEQFQ0WNe", &long[..72]),
        ("$2y$04$abcdefghijklmnopqrstuuMCu.k1vM/ywQwiONaEn3oEMlZoCVBd6", &long[..71]),
    ] {
        assert!(hash(Form::Htpasswd, text).fits(password.as_bytes()).unwrap(), "{text}");
    }
    let seventy_two = hash(Form::Htpasswd, "$2b$04$abcdefghijklmnopqrstuuBzzIgyKkz7xMWYSzkIjUSnxEQFQ0WNe");
    assert!(!seventy_two.fits(&long.as_bytes()[..71]).unwrap());
}

#[test]
fn every_character_of_a_hash_counts() {
    let texts = HTPASSWD
        .iter()
        .map(|(text, password)| (Form::Htpasswd, *text, *password))
        .chain(DJANGO[1..3].iter().map(|text| (Form::Django, *text, PASSWORD)));
    for (form, text, password) in texts {
        // The last one may hold bits that nothing is made of.
        let end = text.trim_end_matches('=').len() - 1;
        for at in [end - 15, end - 7, end - 1] {
            let other = if text.as_bytes()[at] == b'x' { "y" } else { "x" };
            let mut changed = text.to_owned();
            changed.replace_range(at..=at, other);
            let fits = match read(form, &changed) {
                Ok(Reading::Hash(hash)) => hash.fits(password.as_bytes()).unwrap(),
                Ok(Reading::None(_)) | Err(_) => false,
            };
            assert!(!fits, "{changed}");
        }
    }
}

#[test]
fn what_no_hash_is_read_from_in_a_file() {
    for (text, expected) in [
        ("", "plain text"),
        ("secret", "plain text"),
        ("U31BbSLML31R", "plain text"),
        ("U31BbSLML31R!", "plain text"),
        ("U31BbSLML31Rcc", "plain text"),
        ("_J9..K0AyUubDrfOgO4s", "plain text"),
        ("{SSHA}abc", "plain text"),
        ("{SHA}", "whole"),
        ("{SHA}/Hrn08gEogcgvDjo5YNQSGibZVE", "whole"),
        ("{SHA}AAAA", "whole"),
        ("$2x$05$yLFmcvLrWxiZPkQY9BZyreFgFdP2a4xA0HFXiVgB9aosFNAqZQBW.", "faulty"),
        ("$2y$5$yLFmcvLrWxiZPkQY9BZyreFgFdP2a4xA0HFXiVgB9aosFNAqZQBW.", "whole"),
        ("$2y$03$yLFmcvLrWxiZPkQY9BZyreFgFdP2a4xA0HFXiVgB9aosFNAqZQBW.", "whole"),
        ("$2y$18$yLFmcvLrWxiZPkQY9BZyreFgFdP2a4xA0HFXiVgB9aosFNAqZQBW.", "cost"),
        ("$2y$+5$yLFmcvLrWxiZPkQY9BZyreFgFdP2a4xA0HFXiVgB9aosFNAqZQBW.", "whole"),
        ("$2y$05$yLFmcvLrWxiZPkQY9BZyreFgFdP2a4xA0HFXiVgB9aosFNAqZQBW", "whole"),
        ("$2y$05$yLFmcvLrWxiZPkQY9BZyreFgFdP2a4xA0HFXiVgB9aosFNAqZQBW.x", "whole"),
        ("$2y$05$éLFmcvLrWxiZPkQY9BZyreFgFdP2a4xA0HFXiVgB9aosFNAqZQBW.", "whole"),
        ("$2$05$yLFmcvLrWxiZPkQY9BZyreFgFdP2a4xA0HFXiVgB9aosFNAqZQBW.", "plain text"),
        ("$apr1$abcdefghi$sIQmFnT1CuEXAsyjuXjUX/", "whole"),
        ("$apr1$abcdefgh$sIQmFnT1CuEXAsyjuXjUX", "whole"),
        ("$apr1$abcdefgh$sIQmFnT1CuEXAsyjuXjU=/", "whole"),
        ("$apr1$abcdefgh", "whole"),
        ("$1$a$b$c", "whole"),
        ("$5$rounds=999$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", "whole"),
        ("$5$rounds=01000$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", "whole"),
        ("$5$rounds=+5000$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", "whole"),
        ("$5$rounds=1000001$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", "rounds"),
        ("$5$rounds=99999999999999999999$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", "whole"),
        ("$5$saltstringsaltstr$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", "whole"),
        ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEcz", "whole"),
        ("$6$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", "whole"),
        ("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7", "plain text"),
        ("$argon2id$v=19$m=64,t=1,p=2$UWszdlMwZEoxeVoy$P2UnUJLMA36vqgua2jEBqj65VbbudxRWDOdNxsBadHc", "plain text"),
        (&"x".repeat(513), "longer"),
    ] {
        match read(Form::Htpasswd, text) {
            Err(Unreadable(why)) => assert!(why.contains(expected), "{text}: {why}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn what_no_hash_is_read_from_in_a_column() {
    let hash = "46tXpyvhkMNdzgZwsIGTphqrGYOKJdEaszMWrpG8B0U=";
    let long = "faJOevzlyemf7znLjpa3XOcCcSqpUMvAEKYO5+T+KHHT+P8LE+BXY2vv/LPhfH2o9fB6GvYFbtIlfJ+8k84opQ==";
    let texts = [
        "plain".to_owned(),
        "$".to_owned(),
        "pbkdf2_sha512$600$s$x".to_owned(),
        format!("PBKDF2_SHA256$600$salt${hash}"),
        format!("pbkdf2_sha256$0$salt${hash}"),
        format!("pbkdf2_sha256$-1$salt${hash}"),
        format!("pbkdf2_sha256$6e2$salt${hash}"),
        format!("pbkdf2_sha256$0600$salt${hash}"),
        format!("pbkdf2_sha256$12000001$salt${hash}"),
        format!("pbkdf2_sha256$4294967896$salt${hash}"),
        format!("pbkdf2_sha256$600$${hash}"),
        format!("pbkdf2_sha256$600$salt${hash}$"),
        format!("pbkdf2_sha1$600$salt${hash}"),
        "pbkdf2_sha256$600$salt$".to_owned(),
        "pbkdf2_sha256$600$salt".to_owned(),
        "pbkdf2_sha256$600$salt$AAAA".to_owned(),
        format!("scrypt$15$salt$8$1${long}"),
        format!("scrypt$1$salt$8$1${long}"),
        format!("scrypt$0$salt$8$1${long}"),
        format!("scrypt$16$salt$0$1${long}"),
        format!("scrypt$16$salt$8$0${long}"),
        format!("scrypt$16$salt$65$1${long}"),
        format!("scrypt$16$salt$8$65${long}"),
        format!("scrypt$524288$salt$8$1${long}"),
        format!("scrypt$262144$salt$8$5${long}"),
        format!("scrypt$18446744073709551615$salt$8$1${long}"),
        format!("scrypt$9223372036854775808$salt$8$1${long}"),
        format!("scrypt$16$salt$8$1${hash}"),
        format!("scrypt$16$$8$1${long}"),
        format!("scrypt$16$salt$8$1${long}$"),
        "argon2$".to_owned(),
        "argon2$argon2id$v=19$m=64,t=1,p=2$UWszdlMwZEoxeVoy".to_owned(),
        "argon2$argon2id$v=18$m=64,t=1,p=2$UWszdlMwZEoxeVoy$P2UnUJLMA36vqgua2jEBqj65VbbudxRWDOdNxsBadHc".to_owned(),
        "argon2$argon2x$v=19$m=64,t=1,p=2$UWszdlMwZEoxeVoy$P2UnUJLMA36vqgua2jEBqj65VbbudxRWDOdNxsBadHc".to_owned(),
        "argon2$argon2id$v=19$m=262145,t=1,p=2$UWszdlMwZEoxeVoy$P2UnUJLMA36vqgua2jEBqj65VbbudxRWDOdNxsBadHc".to_owned(),
        "argon2$argon2id$v=19$m=262144,t=9,p=2$UWszdlMwZEoxeVoy$P2UnUJLMA36vqgua2jEBqj65VbbudxRWDOdNxsBadHc".to_owned(),
        "argon2$argon2id$v=19$m=4096,t=1,p=65$UWszdlMwZEoxeVoy$P2UnUJLMA36vqgua2jEBqj65VbbudxRWDOdNxsBadHc".to_owned(),
        "argon2$argon2id$v=19$m=7,t=1,p=1$UWszdlMwZEoxeVoy$P2UnUJLMA36vqgua2jEBqj65VbbudxRWDOdNxsBadHc".to_owned(),
        "argon2$argon2id$v=19$m=64,t=0,p=1$UWszdlMwZEoxeVoy$P2UnUJLMA36vqgua2jEBqj65VbbudxRWDOdNxsBadHc".to_owned(),
        "bcrypt$$2b$18$y.8XpMUj2Q3FWgRde08eaOBUzq9a7/41T1VczcqaUCHsKdQ5H.o/a".to_owned(),
        "bcrypt$2b$05$y.8XpMUj2Q3FWgRde08eaOBUzq9a7/41T1VczcqaUCHsKdQ5H.o/a".to_owned(),
        "bcrypt_sha256$".to_owned(),
        format!("{}x", "0".repeat(512)),
    ];
    for text in texts {
        assert!(read(Form::Django, &text).is_err(), "{text}");
    }
}

#[test]
fn what_the_bounds_still_allow() {
    let hash = "46tXpyvhkMNdzgZwsIGTphqrGYOKJdEaszMWrpG8B0U=";
    let long = "faJOevzlyemf7znLjpa3XOcCcSqpUMvAEKYO5+T+KHHT+P8LE+BXY2vv/LPhfH2o9fB6GvYFbtIlfJ+8k84opQ==";
    for text in [
        format!("pbkdf2_sha256$12000000$salt${hash}"),
        format!("scrypt$262144$salt$8$4${long}"),
        format!("scrypt$32768$salt$64$4${long}"),
        "argon2$argon2id$v=19$m=262144,t=8,p=64$UWszdlMwZEoxeVoy$P2UnUJLMA36vqgua2jEBqj65VbbudxRWDOdNxsBadHc".to_owned(),
        "bcrypt$$2b$17$y.8XpMUj2Q3FWgRde08eaOBUzq9a7/41T1VczcqaUCHsKdQ5H.o/a".to_owned(),
    ] {
        assert!(matches!(read(Form::Django, &text), Ok(Reading::Hash(_))), "{text}");
    }
    let text = "$6$rounds=1000000$KJkX$7DfylU.K/fSJ6XeU0yntPiD9m1i6IYRE3W3WvC0pUKoJMIQmBgpHFniYudrD9oU42qfCsoznzjRI5CcNxtYyr/";
    assert!(read(Form::Htpasswd, text).is_ok());
}

#[test]
fn users_without_a_password_and_with_one_that_django_gave_up_have_none_that_fits() {
    for text in [
        "",
        "!",
        "!hJ5qonMOZYJ0eEGFoszWLAqjreSM1kZ2wVFanQ5N",
        "!pbkdf2_sha256$600$Qk3vS0dJ1yZ2$46tXpyvhkMNdzgZwsIGTphqrGYOKJdEaszMWrpG8B0U=",
        "md5$Qk3vS0dJ1yZ2$02e9a8241a99044f2337d1c346acfc82",
        "md5$$02e9a8241a99044f2337d1c346acfc82",
        "02e9a8241a99044f2337d1c346acfc82",
        "sha1$abcde$a9993e364706816aba3e25717850c26c9cd0d89d",
        "sha1$$a9993e364706816aba3e25717850c26c9cd0d89d",
        "crypt$$ab1Hv2Lg7ltQo",
        "unsalted_md5$x",
        "unsalted_sha1$x",
    ] {
        assert!(matches!(read(Form::Django, text), Ok(Reading::None(_))), "{text}");
    }
}

#[test]
fn a_hash_of_nobody_costs_what_its_kind_does_and_fits_nothing() {
    let texts = HTPASSWD.iter().map(|(text, _)| (Form::Htpasswd, *text)).chain(DJANGO.iter().map(|text| (Form::Django, *text)));
    for (form, text) in texts {
        let (own, nobody) = (hash(form, text), hash(form, text).kind().of_nobody());
        assert_eq!(own.kind(), nobody.kind());
        // One kind of Argon2 in the list is shorter than all that Django writes.
        assert!(own.expected.len() == nobody.expected.len() || text.contains("v=16"), "{text}");
        assert!(!nobody.fits(b"").unwrap(), "{text}");
    }
    for kind in [Kind::OF_STORE, Kind::OF_HTPASSWD] {
        assert!(!kind.of_nobody().fits(b"x").unwrap(), "{kind:?}");
    }
    assert_eq!(hash(Form::Django, DJANGO[0]).kind(), Kind::OF_DJANGO);
}

#[test]
fn md5_and_sha_alone_are_weak() {
    let weak: Vec<&str> = HTPASSWD.iter().filter(|(text, _)| hash(Form::Htpasswd, text).kind().is_weak()).map(|(text, _)| &text[..3]).collect();
    assert_eq!(weak, ["$ap", "{SH", "$ap", "$ap", "$ap", "$ap", "$1$", "$1$", "$1$"]);
    assert!(DJANGO.iter().all(|text| !hash(Form::Django, text).kind().is_weak()));
}

#[test]
fn debug_shows_nothing_of_a_hash() {
    let shown = format!("{:?}", hash(Form::Django, DJANGO[1]));
    assert_eq!(shown, "Pbkdf2 { sha1: false, iterations: 600 }");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in r"(\$(2[aby]|apr1|[156])\$|\{SHA\}|(pbkdf2_sha(1|256)|scrypt|argon2|bcrypt(_sha256)?)\$)?([a-zA-Z0-9./$=,é]{0,60}\$?){0,6}") {
        for form in [Form::Store, Form::Htpasswd, Form::Django] {
            let _ = read(form, &text);
        }
    }

    #[test]
    fn numbers_are_plain_decimals(value in any::<u32>(), text in "[+0-9 ]{0,12}") {
        prop_assert_eq!(number::<u32>(&value.to_string()), Some(value));
        prop_assert_eq!(number::<u32>(&text).map(|value| value.to_string()).unwrap_or(text.clone()), text);
    }
}
