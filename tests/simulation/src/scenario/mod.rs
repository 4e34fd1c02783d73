//! The catalogue of failures as named scenarios (`README.md` has the table). Each is written once against
//! [`Stage`], is played on the simulated stage with every safety check looking on, and, where a real API server
//! matters, on real ones by another runner. Those marked `simulated` need faults that only the simulation has.

mod connections;
mod controller;
mod credentials;
mod deletion;
mod edits;
mod fleet;
mod founding;
mod identity;
mod letting_go;
mod marks;
mod names;
mod namespaces;
mod play;
mod quorum;
mod services;
mod sick;
mod tenancy;
mod tools;
mod volumes;
mod ways;

use futures::{FutureExt as _, future::LocalBoxFuture};

pub use play::{Played, play, play_without, words};

use crate::stage::{Simulated, Stage};

/// Where a scenario is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stages {
    /// In virtual time only: it needs a fault that real API servers cannot be asked for.
    SimulatedOnly,
    /// In virtual time and on real API servers.
    Both,
}

/// One scenario, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The row of the catalogue that it is about.
    pub row: u8,
    /// Its name, which is also that of its test.
    pub name: &'static str,
    /// Where it is played.
    pub stages: Stages,
}

/// One scenario, to be played on a stage of this kind.
pub struct Playable<S> {
    /// Its name.
    pub name: &'static str,
    /// Plays it. A scenario that fails panics.
    pub play: for<'a> fn(&'a S) -> LocalBoxFuture<'a, ()>,
}

/// A row that waits for a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The row of the catalogue.
    pub row: u8,
    /// The issue that brings the feature.
    pub issue: u8,
}

macro_rules! catalogue {
    (
        both { $($row:literal $family:ident::$name:ident,)* }
        simulated { $($only_row:literal $only_family:ident::$only_name:ident,)* }
    ) => {
        /// Every scenario.
        pub const ALL: &[Entry] = &[
            $(Entry { row: $row, name: stringify!($name), stages: Stages::Both },)*
            $(Entry { row: $only_row, name: stringify!($only_name), stages: Stages::SimulatedOnly },)*
        ];

        /// The scenarios for any stage.
        pub fn both<S: Stage>() -> Vec<Playable<S>> {
            vec![$(Playable { name: stringify!($name), play: |stage| $family::$name(stage).boxed_local() },)*]
        }

        /// Those that need the simulated stage.
        pub fn simulated_only() -> Vec<Playable<Simulated>> {
            vec![$(Playable { name: stringify!($only_name), play: |stage| $only_family::$only_name(stage).boxed_local() },)*]
        }

        /// The names of all scenarios.
        pub fn names() -> Vec<&'static str> {
            vec![$(stringify!($name),)* $(stringify!($only_name),)*]
        }

        /// Hands the names of all scenarios to a macro, which may make a test of each.
        #[macro_export]
        macro_rules! for_every_scenario {
            ($each:ident) => {
                $each! { $($name)* $($only_name)* }
            };
        }
    };
}

catalogue! {
    both {
        1 connections::a_worker_whose_api_server_is_dead_stops_nobody_else,
        1 sick::a_worker_that_does_not_answer_is_told_within_fifteen_seconds,
        2 connections::a_worker_whose_packets_vanish_stops_nobody_else,
        5 connections::a_slow_worker_takes_only_its_own_time,
        6 sick::a_worker_that_has_too_much_to_do_is_told_within_fifteen_seconds,
        8 connections::history_that_is_forgotten_is_listed_again_and_nothing_is_missed,
        12 connections::a_worker_that_hears_and_is_not_heard_does_nothing_twice,
        14 connections::a_start_waits_for_no_worker,
        16 identity::credentials_that_lead_to_another_cluster_are_not_used,
        16 sick::a_worker_that_is_another_cluster_is_told_within_fifteen_seconds,
        17 identity::a_cluster_that_is_registered_twice_is_served_once,
        18 identity::a_registration_made_anew_for_another_cluster_shows_nothing_of_the_former_one,
        18 sick::a_registration_that_goes_or_comes_anew_is_told_within_fifteen_seconds,
        19 identity::a_registration_deleted_in_use_loses_no_member,
        19 letting_go::a_registration_in_use_names_its_databases_and_goes_when_they_are_gone,
        19 letting_go::a_registration_that_leads_nowhere_can_be_deleted_at_once,
        20 deletion::a_worker_restored_from_a_backup_is_seen_as_it_is_now,
        20 deletion::what_a_backup_brings_back_of_a_deleted_database_is_not_taken_for_a_new_one,
        20 sick::a_worker_restored_from_a_backup_is_told_within_fifteen_seconds,
        20 letting_go::what_nobody_recorded_is_reported_and_never_deleted,
        21 identity::a_cluster_rebuilt_empty_is_not_taken_for_the_former_one,
        21 letting_go::debts_in_a_cluster_that_was_rebuilt_are_struck_when_a_person_accepts_it,
        22 identity::what_another_master_has_made_is_neither_changed_nor_taken_over,
        23 credentials::a_kubeconfig_that_makes_no_sense_is_refused_in_words,
        23 sick::a_kubeconfig_that_cannot_be_used_is_told_within_fifteen_seconds,
        24 credentials::a_kubeconfig_that_would_run_or_read_something_is_refused,
        25 credentials::a_kubeconfig_that_leads_into_the_operators_own_network_is_not_dialled,
        26 sick::credentials_that_are_worth_nothing_are_told_within_fifteen_seconds,
        27 credentials::a_secret_that_is_gone_or_empty_cuts_nobody_off,
        28 identity::the_master_may_be_a_worker_as_well,
        29 controller::a_crash_between_two_writes_leaves_nothing_half_done,
        30 controller::another_replica_takes_over_and_nothing_is_done_twice,
        30 controller::a_leader_that_was_paused_past_its_time_writes_nothing,
        32 controller::a_master_restored_from_before_a_database_founds_nothing_over_it,
        32 controller::a_master_restored_under_a_running_controller_is_believed_as_it_is_now,
        33 volumes::a_volume_made_anew_by_hand_between_two_looks_is_not_taken_for_the_former_one,
        34 deletion::a_database_of_the_same_name_does_not_inherit_from_a_worker_that_was_away,
        34 letting_go::a_deletion_held_by_a_dead_worker_is_released_and_cleaned_up_later,
        34 letting_go::a_debt_stands_while_somebody_elses_finalizer_holds_what_is_owed,
        34 letting_go::a_new_database_of_the_name_is_not_touched_for_what_the_former_one_owes,
        35 controller::a_rival_writer_of_the_same_resource_holds_up_nothing,
        36 controller::manifests_that_cannot_be_served_stop_nobody_else,
        38 controller::what_a_newer_version_has_written_is_left_alone_and_stops_nobody,
        41 controller::a_database_runs_on_without_its_master_and_is_looked_after_when_it_returns,
        42 namespaces::a_namespace_deleted_with_its_data_is_not_made_again_by_itself,
        43 namespaces::a_namespace_that_never_ends_holds_up_only_what_is_in_it,
        44 volumes::a_volume_that_cannot_be_made_is_waited_for_and_never_deleted,
        44 volumes::an_unknown_storage_class_is_waited_for_until_the_database_is_deleted,
        45 volumes::a_member_on_a_lost_node_is_replaced_and_its_volume_is_not_made_anew,
        46 volumes::members_drained_in_two_clusters_at_once_come_back_and_the_third_is_left_alone,
        47 volumes::a_pod_deleted_by_force_from_a_node_that_is_cut_off_never_runs_twice,
        48 namespaces::a_quota_that_is_used_up_holds_up_only_its_worker,
        50 namespaces::everything_passes_pod_security_restricted,
        52 services::a_load_balancer_without_an_address_holds_up_only_its_database,
        52 services::a_load_balancer_that_changes_its_address_moves_its_member_and_nobody_else,
        53 names::names_that_are_too_long_or_clash_are_refused_in_words,
        54 names::other_peoples_objects_with_our_labels_are_neither_counted_nor_deleted,
        55 deletion::somebody_elses_finalizer_holds_a_deletion_which_says_so,
        56 volumes::what_a_person_deletes_by_hand_comes_back_and_who_lost_its_data_is_replaced,
        58 edits::a_manifest_that_was_spoilt_and_repaired_heals_without_hands,
        58 edits::a_change_that_can_never_start_stops_after_one_member_and_its_revert_heals,
        58 ways::every_way_leads_back_to_where_it_began,
        58 volumes::a_node_selector_that_fits_nowhere_is_told_in_the_schedulers_words,
        60 founding::a_worker_lost_while_a_database_is_founded_brings_no_second_founding,
        61 edits::a_database_grows_and_shrinks_as_its_manifest_says,
        62 edits::a_rolling_change_waits_for_whoever_is_down_by_himself,
        63 edits::nobody_gets_a_vote_while_that_could_cost_the_majority,
        64 volumes::who_was_replaced_and_runs_on_serves_nobody_and_ends_when_it_is_seen,
        65 volumes::a_volume_put_back_to_an_old_snapshot_costs_its_member_its_identity,
        65 volumes::a_member_that_differs_from_its_peers_is_told_and_nobody_is_removed,
        66 quorum::a_lost_majority_is_told_and_nothing_is_forced,
        66 quorum::a_lost_majority_is_given_up_by_a_persons_word_and_the_survivor_goes_on,
        67 edits::twenty_edits_in_ten_seconds_come_to_the_last_one,
        67 edits::a_change_comes_to_every_member_and_no_volume_is_touched,
        69 marks::a_worker_that_is_marked_unavailable_is_told_of_and_left_alone,
        69 marks::a_mark_on_a_worker_that_is_well_keeps_everybody_off_it,
        69 marks::a_deletion_waits_for_a_marked_worker,
        70 marks::a_worker_that_takes_no_new_members_keeps_those_it_has,
        70 marks::a_list_of_namespaces_that_is_narrowed_hurts_no_member,
        71 tenancy::members_live_in_the_namespace_that_their_worker_has_for_them,
        71 tenancy::two_namespaces_in_one_do_not_share_a_name,
        71 tenancy::a_copy_in_another_namespace_belongs_to_nobody,
    }
    simulated {
        3 connections::a_watch_that_falls_silent_is_not_believed_for_long,
        4 connections::a_request_that_is_never_answered_holds_up_nothing_for_ever,
        6 connections::a_worker_that_asks_to_come_again_in_an_hour_is_asked_sooner,
        7 connections::errors_and_lost_answers_make_nothing_twice,
        8 connections::a_watch_that_cannot_go_on_begins_with_a_list,
        9 deletion::a_deletion_does_not_trust_a_cache_that_stands_still,
        10 connections::garbage_from_one_worker_is_its_own_trouble,
        11 connections::a_worker_at_the_edge_of_its_deadline_does_not_flap,
        13 connections::twenty_databases_answer_within_a_second_beside_a_dead_worker,
        15 fleet::a_hundred_and_fifty_workers_of_which_fifteen_come_and_go_delay_nobody,
        19 letting_go::a_process_that_has_not_read_all_databases_lets_no_registration_go,
        26 credentials::credentials_that_expired_are_told_and_new_ones_are_taken_without_a_restart,
        26 credentials::rights_that_were_taken_away_prove_nothing_gone,
        26 credentials::a_token_that_is_worth_nothing_is_told_and_replaced_while_all_runs,
        28 identity::members_with_the_same_address_are_not_mistaken_for_each_other,
        29 letting_go::a_debt_outlives_every_crash_and_every_answer_that_is_lost,
        30 controller::a_leader_cut_off_from_the_master_writes_nothing_after_its_time,
        31 controller::a_watch_that_lags_makes_nobody_create_twice,
        32 controller::an_old_deletion_that_a_lagging_master_shows_again_deletes_nothing,
        37 controller::a_clock_that_jumps_neither_hurries_nor_holds_up_anything,
        39 namespaces::a_crowd_of_other_peoples_objects_costs_nothing,
        40 deletion::one_list_that_fails_makes_no_whole_of_the_others,
        49 namespaces::a_webhook_that_denies_or_fails_is_told_in_its_own_words,
        49 namespaces::a_webhook_that_changes_pods_starts_no_quarrel,
        51 namespaces::an_older_worker_that_drops_fields_starts_no_quarrel,
        57 volumes::jobs_that_never_end_leave_roles_unknown_and_nothing_behind,
        60 founding::members_that_cannot_reach_each_other_found_nothing_alone,
        68 quorum::what_an_isolated_member_says_of_itself_is_not_believed,
    }
}

/// Rows that wait for features which this version does not have.
pub const WAITING: &[Waiting] = &[Waiting { row: 59, issue: 7 }];

/// How many rows the catalogue has.
pub const ROWS: u8 = 71;
