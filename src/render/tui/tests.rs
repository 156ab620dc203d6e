use ratatui_core::layout::Rect;

use super::{Areas, SMALLEST};

#[test]
fn the_parts_fill_the_terminal() {
    let [width, height] = SMALLEST;
    for slider in [false, true] {
        for (width, height) in [(width, height), (80, 24), (300, 100)] {
            let all = Rect::new(0, 0, width, height);
            let areas = Areas::new(all, slider).unwrap();
            let parts = [
                areas.head,
                areas.tabs,
                areas.info,
                areas.body,
                areas.slider,
                areas.foot,
            ];
            let mut next = 0;
            for part in parts {
                assert_eq!((part.y, part.x, part.width), (next, 0, width));
                next = part.bottom();
            }
            assert_eq!(next, height);
            assert_eq!(areas.page(), usize::from(areas.body.height) - 1);
        }
    }
    for (width, height) in [(width - 1, height), (width, height - 1), (0, 0)] {
        assert_eq!(Areas::new(Rect::new(0, 0, width, height), false), None);
    }
}
