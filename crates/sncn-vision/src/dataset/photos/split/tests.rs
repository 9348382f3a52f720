use super::*;
use image::{Rgb, RgbImage};
use std::fs;
use std::path::PathBuf;

/// A folder with images at these paths, of different sizes and colours.
fn folder(paths: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (index, path) in paths.iter().enumerate() {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_pixel(10 + index as u32, 12, Rgb([index as u8; 3])).save(path).unwrap();
    }
    folder
}

fn numbered(folder: &str, count: usize) -> Vec<String> {
    (0..count).map(|index| format!("{folder}/{index:02}.png")).collect()
}

fn strings(paths: &[String]) -> Vec<&str> {
    paths.iter().map(String::as_str).collect()
}

fn parts(json: serde_json::Value) -> Parts {
    Parts::read(&json).unwrap()
}

fn read(path: &Path, parts: &Parts) -> Result<Splits> {
    open("folder", path, parts, Some(Check::default()), false)
}

fn labels(images: &Arc<dyn Images>) -> Vec<usize> {
    (0..images.len()).map(|index| images.label(index).unwrap()).collect()
}

fn refused(path: &Path, parts: &Parts) -> String {
    format!("{:#}", read(path, parts).err().unwrap())
}

#[test]
fn class_folders_alone_have_a_tenth_of_every_class_kept() {
    let paths = [numbered("cat", 20), numbered("dog", 10), numbered("owl", 2)].concat();
    let folder = folder(&strings(&paths));
    let splits = read(folder.path(), &Parts::default()).unwrap();
    let (train, kept) = (splits.train.unwrap(), splits.validation.unwrap());
    assert_eq!(train.classes(), ["cat", "dog", "owl"]);
    let count = |images: &Arc<dyn Images>, class| labels(images).iter().filter(|label| **label == class).count();
    assert_eq!([0, 1, 2].map(|class| count(&train, class)), [18, 9, 1]);
    assert_eq!([0, 1, 2].map(|class| count(&kept, class)), [2, 1, 1]);
    assert!(splits.test.is_empty());
    // the same ones again, none in both, and the first images have all classes
    let again = read(folder.path(), &Parts::default()).unwrap().validation.unwrap();
    let widths = |images: &Arc<dyn Images>| {
        let mut photo = crate::picture::Photo::default();
        (0..images.len()).map(|index| images.read(index, &mut photo).map(|_| photo.dims().width).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(widths(&kept), widths(&again));
    let mut all = [widths(&train), widths(&kept)].concat();
    all.sort_unstable();
    assert_eq!(all, (10..42).collect::<Vec<_>>());
    assert_eq!(labels(&train)[..3], [0, 1, 2]);
    let none = read(folder.path(), &parts(serde_json::json!({"validation": 0}))).unwrap();
    assert!(none.validation.is_none() && none.train.unwrap().len() == 32);
}

#[test]
fn parts_are_found_by_their_usual_names_or_by_those_that_are_given() {
    let folder = folder(&["Train/a/1.png", "Train/b/1.png", "Train/b/2.png", "val/a/1.png", "test/b/1.png", "notes/readme.png"]);
    let splits = read(folder.path(), &Parts::default()).unwrap();
    assert_eq!(labels(splits.train.as_ref().unwrap()), [0, 1, 1]);
    assert_eq!(labels(splits.validation.as_ref().unwrap()), [0]);
    assert_eq!((splits.test[0].0.as_str(), labels(&splits.test[0].1)), ("folder", vec![1]));
    // domains: the classes of all in one order, though not every domain has each
    let domains = self::folder(&[
        "photo/cat/1.png",
        "photo/dog/1.png",
        "photo/dog/2.png",
        "photo/owl/1.png",
        "art/dog/1.png",
        "art/owl/1.png",
        "sketch/cat/1.png",
        "sketch/dog/1.png",
    ]);
    let splits = read(domains.path(), &parts(serde_json::json!({"train": ["photo"]}))).unwrap();
    let names: Vec<&str> = splits.test.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names, splits.validation.unwrap().len()), (vec!["art", "sketch"], 1));
    assert_eq!((labels(&splits.test[0].1), labels(&splits.test[1].1)), (vec![1, 2], vec![0, 1]));
    // not all have two folders in common, so these may be classes
    assert_eq!(read(domains.path(), &Parts::default()).unwrap().classes(), ["art", "photo", "sketch"]);
    let same = self::folder(&["photo/cat/1.png", "photo/dog/1.png", "art/cat/1.png", "art/dog/1.png"]);
    let error = refused(same.path(), &Parts::default());
    assert!(error.contains("art, photo each have the folders cat, dog") && error.contains("data.train=art"), "{error}");
    assert_eq!(read(same.path(), &parts(serde_json::json!({"nested": true}))).unwrap().classes(), ["art", "photo"]);
    assert_eq!(read(same.path(), &parts(serde_json::json!({"train": "photo"}))).unwrap().classes(), ["cat", "dog"]);
    let both =
        parts(serde_json::json!({"train": ["art", "sketch"], "validation": ["photo"], "test": ["photo"], "partial": true}));
    let splits = read(domains.path(), &both).unwrap();
    assert_eq!(splits.train.unwrap().classes(), ["cat", "dog", "owl"]);
    assert_eq!((splits.validation.unwrap().len(), splits.test.len()), (4, 1));
}

#[test]
fn one_domain_is_left_out_and_a_tenth_of_each_of_the_others_is_kept() {
    let names = ["art", "cartoon", "photo", "sketch"];
    let paths: Vec<String> = names
        .iter()
        .flat_map(|domain| ["cat", "dog"].map(|class| numbered(&format!("{domain}/{class}"), 10)))
        .flatten()
        .collect();
    let domains = folder(&strings(&paths));
    let left_out =
        |test: &str| parts(serde_json::json!({"train": names.iter().filter(|name| **name != test).collect::<Vec<_>>()}));
    for (index, test) in names.into_iter().enumerate() {
        let splits = read(domains.path(), &left_out(test)).unwrap();
        let (train, kept) = (splits.train.unwrap(), splits.validation.unwrap());
        assert_eq!((train.len(), kept.len(), splits.test.len()), (54, 6, 1));
        assert_eq!((splits.test[0].0.as_str(), splits.test[0].1.len()), (test, 20));
        // the width of an image tells its domain
        let domain = |images: &Arc<dyn Images>, image| {
            let mut photo = crate::picture::Photo::default();
            images.read(image, &mut photo).unwrap();
            (photo.dims().width - 10) / 20
        };
        for images in [&train, &kept] {
            let found: Vec<usize> = (0..images.len()).map(|image| domain(images, image)).collect();
            let others: Vec<usize> = (0..4).filter(|other| *other != index).collect();
            assert!(
                others.iter().all(|one| found.iter().filter(|domain| *domain == one).count() == images.len() / 3),
                "{found:?}"
            );
            // the first images have all domains and classes
            let mut first = found[..6].to_vec();
            first.sort_unstable();
            assert_eq!(first, others.iter().flat_map(|one| [*one; 2]).collect::<Vec<_>>());
        }
        assert_eq!(labels(&train)[..4], [0, 1, 0, 1]);
    }
    // of one domain alone the same images are kept as ever
    let alone = read(domains.path(), &parts(serde_json::json!({"train": "photo"}))).unwrap();
    assert_eq!((alone.train.unwrap().len(), alone.validation.unwrap().len(), alone.test.len()), (18, 2, 3));
}

#[test]
fn domains_of_one_class_or_of_other_classes_are_refused() {
    let paths = [
        "photo/cat/1.png",
        "photo/dog/1.png",
        "art/cat/1.png",
        "art/owl/1.png",
        "one/cat/1.png",
        "some/cat/1.png",
        "some/dog/1.png",
    ];
    let domains = folder(&paths);
    let of = |json| refused(domains.path(), &parts(json));
    let error = of(serde_json::json!({"train": "one", "test": "photo"}));
    assert!(error.contains("\"one\" has one class alone, cat; at least 2 are wanted"), "{error}");
    let error = of(serde_json::json!({"train": ["photo", "one"], "test": "some"}));
    assert!(error.contains("\"one\" has one class alone"), "{error}");
    let error = of(serde_json::json!({"train": ["photo", "art"], "test": "some"}));
    assert!(
        error.contains("\"art\" has no class \"dog\", which \"photo\" has") && error.contains("data.partial=true"),
        "{error}"
    );
    let error = of(serde_json::json!({"train": "photo", "test": "art"}));
    assert!(error.contains("classes that the training part does not have: owl; it has: cat, dog"), "{error}");
    let error = of(serde_json::json!({"train": "photo", "test": ["some", "one"]}));
    assert!(
        error.contains("the domain \"one\" has one class alone, cat; leave it out") && error.contains("data.test"),
        "{error}"
    );
    let error = format!("{:#}", Parts::read(&serde_json::json!({"folder": "../other"})).unwrap_err());
    assert!(error.contains("data.folder is \"../other\""), "{error}");
}

#[test]
fn classes_may_lie_in_one_folder_of_a_domain_and_domains_in_a_folder_of_the_data() {
    let office =
        folder(&["o/amazon/images/mug/1.png", "o/amazon/images/pen/1.png", "o/dslr/images/mug/1.png", "o/dslr/images/pen/1.png"]);
    let run = parts(serde_json::json!({"folder": "o", "train": "amazon"}));
    let data_dir = crate::dataset::DataDir { path: Some(office.path().to_path_buf()) };
    let splits = crate::dataset::open_parts("folder", &data_dir, &run, None).unwrap();
    assert_eq!((splits.classes().join(" "), splits.test[0].0.as_str()), ("mug pen".to_string(), "dslr"));
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = folder(&["train/a/1.png", "train/b/1.png", "val/c/1.png"]);
    let error = refused(folder.path(), &Parts::default());
    assert!(error.contains("val: classes that the training part does not have: c; it has: a, b"), "{error}");
    let error = refused(folder.path(), &parts(serde_json::json!({"train": ["photo"]})));
    assert!(error.contains("data.train") && error.contains("no part \"photo\"; it has: train, val"), "{error}");
    fs::create_dir(folder.path().join("train/empty")).unwrap();
    assert!(refused(folder.path(), &Parts::default()).contains("empty: no images"));
    let twice = self::folder(&["Cat/1.png", "cat/1.png"]);
    assert!(refused(twice.path(), &Parts::default()).contains("differ in case only"));
    let none = self::folder(&["1.png"]);
    assert!(refused(none.path(), &Parts::default()).contains("no folders in it"));
    for (value, words) in [
        (serde_json::json!({"validation": 1}), "data.validation is 1"),
        (serde_json::json!({"train": ["a"], "test": ["a"]}), "\"a\" is trained on and tested on"),
        (serde_json::json!({"split": 1}), "unknown field `split`"),
    ] {
        let error = format!("{:#}", Parts::read(&value).unwrap_err());
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn files_that_cannot_be_read_are_listed_or_left_out() {
    let folder = folder(&["a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png"]);
    fs::write(folder.path().join("a/2.png"), "").unwrap();
    fs::write(folder.path().join("b/1.png"), "<html>").unwrap();
    let all = parts(serde_json::json!({"validation": 0}));
    let error = refused(folder.path(), &all);
    for words in
        ["2 of 5 files cannot be read", "a/2.png: the file is empty", "b/1.png: its content is none of", "--skip-unreadable"]
    {
        assert!(error.contains(words), "{error}");
    }
    let skip = |decodes| open("folder", folder.path(), &all, Some(Check { decodes, skips: true, ..Default::default() }), false);
    let train = skip(false).unwrap().train.unwrap();
    assert_eq!(train.len(), 3);
    assert!(train.describe().contains("2 unreadable left out"), "{}", train.describe());
    // what is cut short has a good header
    let whole = fs::read(folder.path().join("a/3.png")).unwrap();
    fs::write(folder.path().join("a/3.png"), &whole[..whole.len() - 20]).unwrap();
    assert_eq!((skip(false).unwrap().train.unwrap().len(), skip(true).unwrap().train.unwrap().len()), (3, 2));
    fs::write(folder.path().join("b/2.png"), "").unwrap();
    assert!(format!("{:#}", skip(true).err().unwrap()).contains("no readable image of class \"b\""));
}

#[test]
fn tables_of_paths_have_headers_or_not_and_missing_files_are_listed() {
    let folder = folder(&["i/1.png", "i/2.png", "i/3.png", "i/4.png"]);
    let write = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let all = parts(serde_json::json!({"validation": 0}));
    for text in [
        "path,label\ni/1.png,cat\ni/2.png,dog\ni/3.png,cat\n",
        "i/1.png,cat\ni/2.png,dog\ni/3.png,cat",
        "\u{feff}Class;File;note\ncat;i/1.png;x\ndog;i/2.png;\ncat;i/3.png;y\n",
        "image\ttarget\r\ni/1.png\tcat\r\ni/2.png\tdog\r\ni/3.png\tcat\r\n",
    ] {
        let train = read(&write("t.csv", text), &all).unwrap().train.unwrap();
        assert_eq!((train.classes().join(" "), labels(&train)), ("cat dog".to_string(), vec![0, 1, 0]), "{text}");
    }
    let numbers = read(&write("n.csv", "path,label\ni/1.png,10\ni/2.png,9\n"), &all).unwrap().train.unwrap();
    assert_eq!(numbers.classes(), ["9", "10"]);
    let split = "path,label,split\ni/1.png,cat,train\ni/2.png,dog,train\ni/3.png,cat,val\ni/4.png,dog,test\n";
    let splits = read(&write("s.csv", split), &Parts::default()).unwrap();
    assert_eq!((splits.train.unwrap().len(), splits.validation.unwrap().len(), splits.test.len()), (2, 1, 1));
    let error = refused(&write("m.csv", "i/1.png,cat\ni/9.png,dog\n"), &all);
    assert!(error.contains("1 of its files are not there") && error.contains("9.png (line 2)"), "{error}");
    let error = refused(&write("m.csv", "path,label\ni/1.png,\n"), &all);
    assert!(error.contains("line 2") && error.contains("a path and a label are expected"), "{error}");
    assert!(refused(&write("e.csv", ""), &all).contains("is empty"));
}

#[test]
fn tiny_imagenet_has_its_labels_in_a_table_and_nothing_to_train_on() {
    let folder = folder(&["val/images/val_0.JPEG", "val/images/val_1.JPEG", "val/images/val_2.JPEG"]);
    let table = folder.path().join("val/val_annotations.txt");
    fs::write(&table, "val_0.JPEG\tn02\t0\t0\t62\t57\nval_1.JPEG\tn01\t0\t0\t6\t5\nval_2.JPEG\tn02\t0\t0\t1\t1\n").unwrap();
    let splits = open("tiny-imagenet", folder.path(), &Parts::default(), None, true).unwrap();
    assert!(splits.train.is_none() && splits.validation.is_none());
    let (name, images) = &splits.test[0];
    assert_eq!(
        (name.as_str(), images.classes().join(" "), labels(images)),
        ("tiny-imagenet", "n01 n02".to_string(), vec![0, 1, 1])
    );
    assert!(
        splits.trained("tiny-imagenet").err().unwrap().to_string().contains("no images to train on (tiny-imagenet to test on)")
    );
    fs::write(&table, "val_9.JPEG\tn02\t0\n").unwrap();
    let error = format!("{:#}", open("tiny-imagenet", folder.path(), &Parts::default(), None, true).err().unwrap());
    assert!(error.contains("val_9.JPEG"), "{error}");
}
