"""Every defect and trap of the original has a test that shows it absent here.

The WAVE specification lists what the original gets wrong and a new implementation must not copy
(wave.md 16.2, 17 rows), and what is easily got wrong (wave.md 0, 15 traps). Each row names the
tests that would fail if we had it too. What is checked here: the table is complete, and every test
that it names exists.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Row:
    """One defect or trap.

    Attributes:
        number: in its list.
        what: in a few words.
        tests: `file::function`, relative to the folder of all tests.
    """

    number: int
    what: str
    tests: tuple[str, ...]


VERIFIER = "unit/authz/test_verifier_refusals.py"
DISCOVERY = "unit/authz/test_reverse_discovery.py"
OBJECTS = "unit/wave/test_objects_refuse.py"
STORAGE = "integration/net/test_object_storage_client.py"
PROOFS = "vectors/authz/test_object_proof_vectors.py"
REVOCATIONS = "unit/authz/test_revocation_checks.py"
REVOKING = "unit/authz/test_revoking_what_was_made.py"
RUNNING = "integration/router/test_revocation_in_running_routers.py"
PUBLISHING = "unit/authz/test_publishing_door.py"
SEARCH = "property/authz/test_search_is_complete_and_bounded.py"
INSPECTION = "unit/authz/test_granting_and_inspection.py"
PROVER = "unit/authz/test_prover_search.py"
NAMING = "unit/authz/test_naming.py"
NAMES = "unit/authz/test_names_are_discovered.py"
ASKED = "unit/agent/test_requests_that_the_original_cannot_take.py"
JEDI = "unit/wave/test_jedi_rules.py"
FUZZ = "fuzz/test_decoders_survive_mutations.py"

DEFECTS = (
    Row(
        1,
        "no root of trust: anybody grants himself anything in anybody's namespace",
        (
            f"{PROOFS}::test_forgery_that_the_original_accepts_is_refused",
            f"{VERIFIER}::test_stranger_cannot_grant_himself_anything",
            f"{VERIFIER}::test_chain_below_a_stranger_is_refused",
            f"{VERIFIER}::test_every_path_must_begin_at_the_namespace",
            f"{VERIFIER}::test_claiming_to_be_the_namespace_does_not_help",
            "integration/router/test_forged_chains.py::test_local_door_refuses_it",
            "integration/router/test_forged_chains.py::test_peering_door_refuses_its_messages",
            "integration/router/test_forged_chains.py::test_peering_door_refuses_its_subscriptions",
            "integration/router/test_forged_chains.py::test_peering_door_refuses_its_queries",
            (
                "integration/router/test_handshake_authority.py"
                "::test_chain_that_does_not_begin_at_the_namespace_is_refused"
            ),
            (
                "e2e/test_forged_chain_at_the_peering_door.py"
                "::test_forged_message_is_refused_and_reaches_nobody"
            ),
        ),
    ),
    Row(
        2,
        "last path's subject not compared, no paths, hash of a reference, carried-over key",
        (
            f"{VERIFIER}::test_all_paths_must_end_at_one_entity",
            f"{VERIFIER}::test_malformed_paths_are_refused",
            f"{VERIFIER}::test_reference_must_name_the_content_that_it_carries",
            f"{VERIFIER}::test_key_of_one_reference_does_not_open_the_next",
            f"{PROOFS}::test_forgery_that_the_original_accepts_is_refused",
        ),
    ),
    Row(
        3,
        "revocations never looked up again by a running daemon",
        (
            f"{REVOCATIONS}::test_revocation_is_noticed_once_the_last_check_is_old",
            f"{REVOCATIONS}::test_own_revocation_is_noticed_at_once",
            f"{RUNNING}::test_publisher_is_refused_within_the_interval_after_his_grant_is_revoked",
            f"{RUNNING}::test_live_subscription_ends_at_the_site_and_in_the_cloud",
            f"{RUNNING}::test_link_to_a_designated_router_ends_with_its_authority",
        ),
    ),
    Row(
        4,
        "passphrase and validity checked on first use only",
        (
            f"{PUBLISHING}::test_passphrase_is_checked_every_time",
            f"{PUBLISHING}::test_validity_of_the_entity_is_checked_every_time",
            (
                "integration/router/test_two_routers.py"
                "::test_protected_secret_needs_its_passphrase_with_every_call"
            ),
            f"{DISCOVERY}::test_perspective_is_found_by_its_entity_whatever_the_form_of_its_secret",
            f"{ASKED}::test_passphrase_is_checked_with_every_call",
            f"{ASKED}::test_validity_is_checked_with_every_call",
        ),
    ),
    Row(
        5,
        "names match by their beginning",
        (
            f"{NAMING}::test_name_is_compared_whole_and_not_by_its_beginning",
            (
                "vectors/authz/test_name_vectors.py"
                "::test_everybody_resolves_what_he_resolved_with_the_original"
            ),
        ),
    ),
    Row(
        6,
        "one bad entry of a queue stops discovery",
        (
            f"{DISCOVERY}::test_poisoned_queue_hides_nothing",
            f"{DISCOVERY}::test_object_that_was_missing_is_found_when_it_comes",
            f"{DISCOVERY}::test_flood_of_useless_entries_does_not_hide_a_grant",
            f"{DISCOVERY}::test_endless_queue_is_left_at_its_bound",
            f"{NAMES}::test_poisoned_queue_hides_no_name",
        ),
    ),
    Row(
        7,
        "content of storage not compared with its hash",
        (
            f"{STORAGE}::test_substituted_content_is_refused",
            f"{STORAGE}::test_put_that_names_another_hash_is_refused",
            f"{VERIFIER}::test_object_under_a_wrong_name_is_not_believed",
            f"{REVOCATIONS}::test_lying_storage_is_no_answer",
            "integration/net/test_object_shelf.py::test_damaged_object_is_never_handed_over",
            (
                "unit/net/test_unchecked_proofs_are_refused.py"
                "::test_location_whose_proofs_are_not_checked_is_refused"
            ),
        ),
    ),
    Row(
        8,
        "crashes: by requests, by unknown schemes, by silent storage",
        (
            f"{OBJECTS}::test_unknown_revocation_schemes_are_kept_and_re_encode",
            f"{REVOCATIONS}::test_unknown_way_to_revoke_counts_as_used_if_critical",
            f"{DISCOVERY}::test_silent_storage_is_reported_and_what_is_known_is_used",
            f"{OBJECTS}::test_visibility_of_too_many_components_is_refused",
            f"{VERIFIER}::test_malformed_paths_are_refused",
            f"{OBJECTS}::test_verifier_keys_in_proofs_have_28_bytes",
            f"{FUZZ}::test_mutated_inputs_are_refused_or_sound",
            f"{ASKED}::test_perspective_without_a_secret_is_an_invalid_parameter",
            f"{ASKED}::test_grant_without_a_sound_policy_is_refused",
            f"{ASKED}::test_grant_to_what_is_no_hash_is_refused",
            f"{ASKED}::test_visibility_of_too_many_components_is_refused",
            f"{ASKED}::test_name_by_an_attester_that_is_no_hash_is_refused",
            f"{ASKED}::test_message_to_what_is_no_hash_is_refused",
            f"{ASKED}::test_proof_over_a_plain_grant_is_built",
            f"{ASKED}::test_proof_without_paths_and_with_a_short_key_is_refused",
            f"{ASKED}::test_storage_that_fails_during_a_synchronization_kills_nothing",
            f"{ASKED}::test_attestation_that_is_known_is_added_again_in_vain",
            f"{ASKED}::test_entity_is_marked_with_a_location_only",
        ),
    ),
    Row(
        9,
        "policies that may not be granted are believed when verifying",
        (
            f"{VERIFIER}::test_policy_must_be_one_that_may_be_granted",
            f"{PROVER}::test_bad_request_is_refused",
        ),
    ),
    Row(
        10,
        "keys of end-to-end encryption lost silently, deltas corrupted",
        (
            f"{OBJECTS}::test_decryption_grant_without_keys_fails_instead_of_granting_less",
            f"{OBJECTS}::test_bundle_deltas_are_over_the_entries_that_are_sent",
            f"{OBJECTS}::test_bundle_entries_are_checked",
            f"{OBJECTS}::test_periods_are_clipped_and_checked_again",
            f"{INSPECTION}::test_keys_that_are_not_held_are_not_promised",
            f"{JEDI}::test_grant_without_keys_of_the_namespace_is_refused",
            f"{JEDI}::test_decrypt_grant_of_a_delegate_is_lowered_to_his_own_at_both_ends",
            f"{JEDI}::test_delegate_hands_on_within_what_he_holds_and_nothing_else",
            f"{JEDI}::test_bundle_that_the_original_corrupts_gives_no_key_of_a_wrong_pattern",
        ),
    ),
    Row(
        11,
        "a labelled attestation that becomes readable loses or misfiles its keys",
        (
            f"{DISCOVERY}::test_grant_hidden_by_its_partition_is_found_once_a_key_for_it_comes",
            f"{DISCOVERY}::test_keys_of_a_promoted_attestation_belong_to_whom_they_belong",
        ),
    ),
    Row(
        12,
        "the revocation of a name is published where nobody looks",
        (f"{REVOKING}::test_revocation_of_a_name_is_published_where_it_is_looked_for",),
    ),
    Row(
        13,
        "builder: pairs of paths only, more than 64 bits, order of elements, plain bodies",
        (
            f"{SEARCH}::test_any_number_of_parallel_paths_is_combined",
            f"{PROVER}::test_any_number_of_parallel_grants_is_combined",
            f"{PROVER}::test_bad_request_is_refused",
            f"{PROVER}::test_namespace_entity_itself_has_no_proof",
            f"{PROVER}::test_cycles_end",
            f"{ASKED}::test_proof_over_a_plain_grant_is_built",
            (
                "property/authz/test_authority_laws.py"
                "::test_whatever_is_built_verifies_with_nothing_but_itself"
            ),
        ),
    ),
    Row(
        14,
        "inspection shows no public entities and uses no keys",
        (
            f"{OBJECTS}::test_public_entities_are_accepted_where_an_entity_is_wanted",
            f"{ASKED}::test_public_entity_is_inspected",
            f"{ASKED}::test_keys_are_used_to_inspect",
        ),
    ),
    Row(
        15,
        "waiting for an idle engine, or looking up nothing, never ends",
        (
            f"{ASKED}::test_waiting_for_an_idle_engine_ends",
            f"{ASKED}::test_looking_up_nothing_or_both_ends_is_refused",
        ),
    ),
    Row(
        16,
        "messages without recipients; short ciphertexts crash",
        (
            f"{OBJECTS}::test_messages_that_nobody_could_read_are_not_made",
            f"{OBJECTS}::test_short_ciphertexts_are_no_crash",
            f"{OBJECTS}::test_wrong_lengths_behind_a_key_that_opens_are_malformed",
        ),
    ),
    Row(
        17,
        "lookups in several locations end at the first that has nothing",
        (
            f"{INSPECTION}::test_namespace_is_found_wherever_it_is",
            f"{INSPECTION}::test_object_is_found_although_the_first_location_errs",
            f"{REVOKING}::test_attestation_is_searched_beyond_the_first_place_without_it",
            f"{REVOKING}::test_attestation_is_searched_beyond_a_place_that_is_down",
            f"{REVOKING}::test_name_is_searched_beyond_the_first_place_without_it",
        ),
    ),
)

TRAPS = (
    Row(1, "no root of trust", DEFECTS[0].tests),
    Row(2, "last path, reference hash, no paths", DEFECTS[1].tests),
    Row(
        3,
        "hashes are over the wire object",
        (
            "vectors/test_object_vectors.py::test_entities_of_objects",
            "vectors/test_object_vectors.py::test_attestations_of_objects",
        ),
    ),
    Row(
        4,
        "revocations hash twice, over 64 bytes of secret",
        (
            (
                "vectors/test_object_vectors.py"
                "::test_published_revocations_are_the_blobs_that_we_derive"
            ),
            (
                "vectors/authz/test_revocation_vectors.py"
                "::test_our_revocations_leave_the_storage_that_theirs_left"
            ),
        ),
    ),
    Row(
        5,
        "keyrings are under AES-256",
        ("vectors/test_object_vectors.py::test_a_protected_secret_opens_with_its_passphrase_only",),
    ),
    Row(
        6,
        "times from 2050 on have another form and may have an offset",
        (
            f"{OBJECTS}::test_times_around_the_turn_of_forms_are_read",
            f"{OBJECTS}::test_years_from_2050_on_are_written_in_full",
            "vectors/test_object_vectors.py::test_entities_of_objects",
        ),
    ),
    Row(7, "names match by their beginning", DEFECTS[4].tests),
    Row(8, "one bad entry stops discovery", DEFECTS[5].tests),
    Row(9, "revocations are not noticed", DEFECTS[2].tests),
    Row(10, "passphrase checked once", DEFECTS[3].tests),
    Row(
        11,
        "declarations in a shared namespace need a tag to be read",
        (
            (
                "unit/wave/test_names_refuse.py"
                "::test_delegate_reads_what_begins_with_the_tag_of_attestations_only"
            ),
        ),
    ),
    Row(
        12,
        "permissions of two statements do not combine",
        (f"{VERIFIER}::test_permissions_of_one_requirement_must_be_in_one_statement",),
    ),
    Row(
        13,
        "two alphabets of base64 on the storage wire",
        (
            (
                "integration/net/test_storage_server_process.py"
                "::test_answers_have_the_shapes_of_the_protocol"
            ),
            f"{STORAGE}::test_good_answer_is_believed",
        ),
    ),
    Row(
        14,
        "the path of LookupAttestations is singular",
        (f"{ASKED}::test_lookup_has_the_singular_path_of_the_original",),
    ),
    Row(
        15,
        "a name with a final newline is no name",
        (("unit/wave/test_names_refuse.py::test_what_is_no_name_is_neither_declared_nor_read"),),
    ),
)


@cache
def functions_of(file: Path) -> frozenset[str]:
    """Return the names of the test functions of a file."""
    parsed = ast.parse(file.read_bytes())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(one.name for one in parsed.body if isinstance(one, kinds))


@pytest.mark.parametrize(
    "row",
    [*DEFECTS, *TRAPS],
    ids=lambda row: f"{'defect' if row in DEFECTS else 'trap'}-{row.number}",
)
def test_row_names_tests_that_exist(row: Row) -> None:
    assert row.tests, f"nothing shows that {row.what!r} is not ours"
    for named in row.tests:
        file, _, function = named.partition("::")
        assert function.startswith("test_")
        assert function in functions_of(TESTS / file), named


def test_every_row_of_both_lists_is_here() -> None:
    assert [row.number for row in DEFECTS] == list(range(1, 18))
    assert [row.number for row in TRAPS] == list(range(1, 16))
