//! Tests: both layouts give the same images; damaged files are named.

use super::*;
use std::fs;

/// A pickle as Python 2 wrote it: `data` of n × 3072 bytes, labels under `key`.
fn batch(key: &str, labels: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x80\x02}q\x01(".to_vec();
    let text = |bytes: &mut Vec<u8>, text: &[u8]| {
        bytes.extend([b'U', text.len() as u8]);
        bytes.extend(text);
    };
    text(&mut bytes, key.as_bytes());
    bytes.extend(b"]q\x02(");
    labels.iter().for_each(|&label| bytes.extend([b'K', label]));
    bytes.push(b'e');
    text(&mut bytes, b"data");
    bytes.extend(b"cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K");
    bytes.push(labels.len() as u8);
    bytes.extend(
        b"M\x00\x0c\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T",
    );
    bytes.extend((labels.len() as u32 * 3072).to_le_bytes());
    bytes.extend((0..labels.len() * 3072).map(|i| (i % 251) as u8));
    bytes.extend(b"tbu.");
    bytes
}

fn names(key: &str, count: usize) -> Vec<u8> {
    let mut bytes = b"\x80\x02}(U".to_vec();
    bytes.push(key.len() as u8);
    bytes.extend(key.as_bytes());
    bytes.extend(b"](");
    (0..count).for_each(|i| bytes.extend([b'U', 3].into_iter().chain(format!("c{i:02}").into_bytes())));
    bytes.extend(b"eu.");
    bytes
}

fn data_dir(folder: &Path) -> DataDir {
    DataDir { path: Some(folder.to_path_buf()) }
}

#[test]
fn both_layouts_give_the_same_images() {
    let folder = tempfile::tempdir().unwrap();
    let python = folder.path().join("p/cifar-10-batches-py");
    let binary = folder.path().join("b/cifar-10-batches-bin");
    fs::create_dir_all(&python).unwrap();
    fs::create_dir_all(&binary).unwrap();
    fs::write(python.join("batches.meta"), names("label_names", 10)).unwrap();
    let lines: String = (0..10).map(|i| format!("c{i:02}\n")).collect();
    fs::write(binary.join("batches.meta.txt"), lines).unwrap();
    for file in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        fs::write(python.join(file), batch("labels", &[6, 9])).unwrap();
        let image = |label: u8, start: usize| std::iter::once(label).chain((start..start + 3072).map(|i| (i % 251) as u8));
        let records: Vec<u8> = image(6, 0).chain(image(9, 3072)).collect();
        fs::write(binary.join(format!("{file}.bin")), records).unwrap();
    }
    let one = open_10(&data_dir(&folder.path().join("p"))).unwrap();
    let two = open_10(&data_dir(&folder.path().join("b"))).unwrap();
    assert_eq!((one.trained("cifar10").unwrap().len(), one.classes()), (10, two.classes()));
    let (mut a, mut b) = (Photo::default(), Photo::default());
    for index in 0..10 {
        assert_eq!(
            one.trained("cifar10").unwrap().read(index, &mut a).unwrap(),
            two.trained("cifar10").unwrap().read(index, &mut b).unwrap()
        );
        assert_eq!(a, b);
    }
    // the folder itself may be given, and a damaged batch is named
    assert_eq!(open_10(&data_dir(&python)).unwrap().test[0].1.len(), 2);
    fs::write(python.join("data_batch_3"), &batch("labels", &[6, 9])[..5000]).unwrap();
    let error = format!("{:#}", open_10(&data_dir(&python)).err().unwrap());
    assert!(error.contains("data_batch_3") && error.contains("truncated"), "{error}");
    fs::write(python.join("data_batch_3"), batch("fine_labels", &[6, 9])).unwrap();
    let error = format!("{:#}", open_10(&data_dir(&python)).err().unwrap());
    assert!(error.contains("data_batch_3") && error.contains("\"labels\""), "{error}");
    fs::write(python.join("data_batch_3"), batch("labels", &[6, 10])).unwrap();
    let error = format!("{:#}", open_10(&data_dir(&python)).err().unwrap());
    assert!(error.contains("label 10"), "{error}");
}

#[test]
fn cifar_100_has_fine_labels_in_both_layouts() {
    let folder = tempfile::tempdir().unwrap();
    let python = folder.path().join("cifar-100-python");
    fs::create_dir_all(&python).unwrap();
    fs::write(python.join("meta"), names("fine_label_names", 100)).unwrap();
    for file in ["train", "test"] {
        fs::write(python.join(file), batch("fine_labels", &[99, 3])).unwrap();
    }
    let set = open_100(&data_dir(folder.path())).unwrap();
    let mut image = Photo::default();
    assert_eq!(set.trained("cifar100").unwrap().read(0, &mut image).unwrap(), 99);
    let missing = format!("{:#}", open_10(&data_dir(folder.path())).err().unwrap());
    assert!(missing.contains("cifar-10-batches-bin") && missing.contains("cifar-10-batches-py"), "{missing}");
}
