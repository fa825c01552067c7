//! The embedded journal on disks that fail, lie and lose things, and in folders of all kinds.

mod damage;
mod faults;
mod folders;
mod story;

use topicsync_test_support::vfs;
