//! Workers that do anything in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::{fs, mem};

use super::{Stage, names, project};
use crate::slot::{SlotDir, SlotDirs, Workspace, Workspaces};

/// One worker of the random play, with what it holds.
struct Player {
    dirs: SlotDirs,
    projects: Workspaces,
    held: BTreeMap<u128, (SlotDir, Workspace)>,
}

impl Player {
    fn new(stage: &Stage) -> Self {
        let (dirs, projects) = stage.worker();
        Self { dirs, projects, held: BTreeMap::new() }
    }

    fn die(self) {
        mem::forget(self.held);
        self.dirs.crash();
    }
}

/// Small, fast and good enough to choose (Steele, Lea, Flood: `SplitMix`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        usize::try_from((mixed ^ (mixed >> 27)) >> 40).expect("small") % sides
    }
}

#[test]
fn no_sequence_of_entering_leaving_wiping_moving_and_dying_loses_a_file() {
    for seed in 0..20 {
        let stage = Stage::new();
        let mut dice = Dice(seed);
        let mut players: Vec<Player> = (0..3).map(|_| Player::new(&stage)).collect();
        let mut written: BTreeMap<u128, BTreeSet<String>> = BTreeMap::new();
        for step in 0..80 {
            let (who, which) = (dice.roll(players.len()), dice.roll(3) as u128);
            let is_held = players.iter().any(|player| player.held.contains_key(&which));
            let player = &mut players[who];
            match dice.roll(8) {
                0..=2 => {
                    let slot = player.dirs.create().expect("a slot");
                    match player.projects.enter(project(which), &slot, None) {
                        Ok(workspace) => {
                            assert!(!is_held, "seed {seed} step {step}: two at once");
                            let files = written.entry(which).or_default();
                            assert_eq!(&names(workspace.path()), files, "seed {seed} step {step}");
                            fs::write(workspace.path().join(step.to_string()), "x").expect("written");
                            files.insert(step.to_string());
                            player.held.insert(which, (slot, workspace));
                        }
                        Err(error) => assert!(is_held, "seed {seed} step {step}: {error}"),
                    }
                }
                3..=4 => {
                    if let Some((slot, workspace)) = player.held.remove(&which) {
                        // One that was moved within its slot comes back when that is wiped.
                        let _ = workspace.leave();
                        drop(slot);
                    }
                }
                5 => {
                    if let Some((slot, workspace)) = player.held.remove(&which) {
                        drop(slot);
                        drop(workspace);
                    }
                }
                6 => {
                    if let Some((slot, workspace)) = player.held.get(&which) {
                        let hidden = slot.tmp().join(step.to_string()).join("deeper");
                        fs::create_dir_all(&hidden).expect("created");
                        let _ = fs::rename(workspace.path(), hidden.join("x"));
                    }
                }
                _ => {
                    players.swap_remove(who).die();
                    players.push(Player::new(&stage));
                    if dice.roll(2) == 0 {
                        let last = players.pop().expect("the new one");
                        last.die();
                        players.push(Player::new(&stage));
                    }
                }
            }
        }
        players.into_iter().for_each(Player::die);
        let _last = stage.worker();
        for (which, files) in written {
            assert_eq!(names(&stage.home(project(which))), files, "seed {seed}");
        }
        assert_eq!(stage.out(), 0, "seed {seed}");
    }
}
